"""Box refinement: the climb, the proposals, and looking at a part of the features."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dcfst_core.evaluation.straightforward import AutogradField
from dcfst_core.inference.iou_field import Guide
from dcfst_core.inference.net import InferenceNet
from dcfst_core.network.box_tensors import cxcywh_to_xyxy, iou_xyxy, xywh_to_xyxy
from dcfst_core.network.embedding import Features
from dcfst_core.network.model import DCFSTNet
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.refinement import BoxRefiner, refine_boxes

CPU = torch.device("cpu")
TARGET_WH = torch.tensor([[57.0, 57.0], [40.0, 60.0]])


def iou_field(truth_xyxy: Tensor) -> AutogradField:
    """The true IoU: a hill whose top is known."""
    return AutogradField(lambda boxes: iou_xyxy(boxes, truth_xyxy))


class KnownNet:
    """A network whose predicted IoU, on its scale [-1, 1], is the true one."""

    cuts_windows = False
    device = CPU

    def __init__(self, truth_xyxy: Tensor) -> None:
        self._truth_xyxy = truth_xyxy

    def iou_features(self, blocks: Features) -> Features:
        return blocks

    def iou_field(
        self, features: Features, guide: Guide, origins: Features | None = None
    ) -> AutogradField:
        return AutogradField(lambda boxes: 2 * iou_xyxy(boxes, self._truth_xyxy[:, None]) - 1)


@pytest.fixture(scope="module")
def net() -> InferenceNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return InferenceNet(DCFSTNet(), CPU, "float32")


@pytest.fixture(scope="module")
def blocks() -> Features:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(2, 128, 36, 36, generator=generator),
        torch.randn(2, 256, 18, 18, generator=generator),
    )


def refine_known(config: TrackerConfig, centre: Tensor, wh: Tensor, truth: Tensor) -> tuple:
    nothing = torch.zeros(1, 0)
    refiner = BoxRefiner(KnownNet(truth), config, CPU)  # type: ignore[arg-type]
    return refiner((nothing, nothing), Guide(*[nothing] * 4), centre, wh)


def test_refinement_climbs_to_the_box_with_the_best_score() -> None:
    truth = xywh_to_xyxy(torch.tensor([100.0, 120.0, 40.0, 70.0]))
    start = torch.tensor([[[126.0, 150.0, 50.0, 60.0], [115.0, 165.0, 36.0, 80.0]]])
    refined, scores = refine_boxes(iou_field(truth), start, iterations=300, step_length=0.004)
    before = iou_xyxy(cxcywh_to_xyxy(start), truth)
    assert before.max() < 0.8
    assert scores.min() > 0.93
    assert torch.allclose(scores, iou_xyxy(cxcywh_to_xyxy(refined), truth))


def test_refinement_does_not_depend_on_the_targets_size() -> None:
    truth = torch.tensor([[50.0, 60.0, 90.0, 130.0]])
    start = torch.tensor([[[75.0, 100.0, 50.0, 60.0]]])
    small, _ = refine_boxes(iou_field(truth), start, 5, 0.02)
    large, _ = refine_boxes(iou_field(truth * 4), start * 4, 5, 0.02)
    assert torch.allclose(small * 4, large, rtol=1e-4)


def test_one_step_by_hand() -> None:
    """A score with known slopes in all edges: x0 + 2 y0 + 4 x1 + 8 y1."""
    slopes = torch.tensor([1.0, 2.0, 4.0, 8.0])
    field = AutogradField(lambda boxes: (boxes * slopes).sum(dim=-1))
    start = torch.tensor([[[100.0, 50.0, 20.0, 10.0]]])
    refined, _ = refine_boxes(field, start, iterations=1, step_length=0.001)
    # In units of the box: the centre by (1 + 4) * 20 and (2 + 8) * 10; the log size by
    # (4 - 1) * 20 / 2 and (8 - 2) * 10 / 2.
    expected = torch.tensor([100 + 0.1 * 20, 50 + 0.1 * 10, 20, 10])
    expected[2:] *= torch.tensor([0.03, 0.03]).exp()
    assert torch.allclose(refined[0, 0], expected)


def test_the_best_refined_boxes_are_averaged_and_their_spread_is_told() -> None:
    truth = xywh_to_xyxy(torch.tensor([[100.0, 120.0, 40.0, 70.0]]))
    centre, wh = torch.tensor([[124.0, 150.0]]), torch.tensor([[44.0, 64.0]])
    start = iou_xyxy(cxcywh_to_xyxy(torch.cat((centre, wh), dim=1)), truth)
    config = TrackerConfig(box_refinement_iter=60, box_refinement_step_length=0.01)
    climbed = refine_known(config, centre, wh, truth)
    reached = iou_xyxy(cxcywh_to_xyxy(climbed.box_cxcywh), truth)
    assert float(reached) > max(float(start) + 0.1, 0.9)
    assert float(climbed.predicted_iou) == pytest.approx(float(reached), abs=0.05)
    # Not climbed at all, the boxes lie apart as they were drawn.
    drawn = refine_known(replace(config, box_refinement_iter=0), centre, wh, truth)
    assert float(climbed.spread) < float(drawn.spread)
    single = refine_known(replace(config, num_proposals=1, num_averaged=1), centre, wh, truth)
    assert float(single.spread) == 0.0


def test_the_unchanged_box_is_among_the_proposals_and_the_others_lean_nowhere() -> None:
    config = TrackerConfig(box_refinement_iter=0, num_proposals=7, num_averaged=7)
    truth = xywh_to_xyxy(torch.tensor([[100.0, 120.0, 40.0, 70.0]]))
    centre, wh = torch.tensor([[120.0, 155.0]]), torch.tensor([[40.0, 70.0]])
    mean = refine_known(config, centre, wh, truth).box_cxcywh
    assert torch.allclose(mean[:, :2], centre, atol=1e-3)
    best = refine_known(replace(config, num_averaged=1), centre, wh, truth)
    assert torch.allclose(best.box_cxcywh, torch.cat((centre, wh), dim=1))
    assert float(best.predicted_iou) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "centres", [[[144.0, 144.0], [150.0, 98.0]], [[11.0, 279.0], [287.0, 2.0]]]
)
def test_a_window_of_the_features_changes_nothing(
    net: InferenceNet, blocks: Features, centres: list[list[float]]
) -> None:
    peaks = torch.tensor(centres)
    with torch.no_grad():
        guide = net.guide(net.modulate(blocks, torch.tensor([[100.0, 100, 160, 170]] * 2)))
        refiner = BoxRefiner(net, TrackerConfig(), CPU)
        cells = refiner.window_cells(60.0)
        assert cells is not None and refiner.window_cells(280.0) is None
        windowed = refiner(blocks, guide, peaks, TARGET_WH, cells)
        whole = refiner(blocks, guide, peaks, TARGET_WH)
    assert torch.allclose(windowed.box_cxcywh, whole.box_cxcywh, atol=0.02)
    assert torch.allclose(windowed.predicted_iou, whole.predicted_iou, atol=1e-3)
    assert torch.allclose(windowed.spread, whole.spread, atol=1e-3)
    assert (whole.box_cxcywh[:, :2] - peaks).abs().max() > 0.1  # it did move
