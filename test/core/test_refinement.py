"""Box refinement: the closed-form gradient, the climb, and looking at a part of the features."""

from __future__ import annotations

import pytest
import torch

from dcfst_core.evaluation.straightforward import AutogradField, StraightforwardNet
from dcfst_core.inference.net import InferenceNet
from dcfst_core.network.box_tensors import cxcywh_to_xyxy, iou_xyxy, xywh_to_xyxy
from dcfst_core.network.iou_net import Features
from dcfst_core.network.model import DCFSTNet
from dcfst_core.network.prroi_pool import bin_means, bin_means_and_slopes
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.refinement import BoxRefiner, refine_boxes

CPU = torch.device("cpu")


def iou_field(truth_xyxy: torch.Tensor) -> AutogradField:
    """The true IoU: a hill whose top is known."""
    return AutogradField(lambda boxes: iou_xyxy(boxes, truth_xyxy))


@pytest.fixture(scope="module")
def net() -> DCFSTNet:
    torch.manual_seed(0)
    return DCFSTNet().eval()


@pytest.fixture(scope="module")
def blocks() -> Features:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(2, 128, 36, 36, generator=generator),
        torch.randn(2, 256, 18, 18, generator=generator),
    )


@pytest.fixture(scope="module")
def modulation(net: DCFSTNet, blocks: Features) -> Features:
    with torch.no_grad():
        return net.iou_net.modulate(blocks, torch.tensor([[100.0, 100, 160, 170]] * 2))


@pytest.mark.parametrize("bins", [3, 5])
def test_slopes_of_bin_means_equal_autograd_in_float64(bins: int) -> None:
    low = torch.tensor([-3.2, 0.3, 4.71, 9.5], dtype=torch.float64, requires_grad=True)
    high = torch.tensor([1.7, 0.9, 11.13, 14.2], dtype=torch.float64, requires_grad=True)
    means, by_low, by_high = bin_means_and_slopes(low, high, bins, 12)
    expected = bin_means(low, high, bins, 12)
    assert torch.allclose(means, expected, atol=1e-12)
    for edge, slopes in ((low, by_low), (high, by_high)):
        for bin_ in range(bins):
            for cell in range(12):
                (gradient,) = torch.autograd.grad(
                    expected[:, bin_, cell].sum(), edge, retain_graph=True
                )
                assert torch.allclose(slopes[:, bin_, cell], gradient, atol=1e-10)


def test_closed_form_gradient_equals_autograd(
    net: DCFSTNet, blocks: Features, modulation: Features
) -> None:
    # Inside, over the border, small, and elongated.
    boxes = torch.tensor(
        [[[100.0, 100, 160, 170], [-20, 200, 50, 300], [140, 141, 147, 149], [30, 120, 250, 150]]]
    ).expand(2, -1, -1)
    with torch.no_grad():
        fused = InferenceNet(net, CPU, "float32")
        plain = StraightforwardNet(net, CPU)
        field = fused.iou_field(fused.iou_features(blocks), modulation)
        scores, gradient = field(boxes)
        expected = plain.iou_field(plain.iou_features(blocks), modulation)(boxes)
    assert expected[1].abs().amin() > 1e-5
    assert torch.equal(scores, field.scores(boxes))
    assert torch.allclose(scores, expected[0], atol=1e-4 * float(expected[0].abs().max()))
    assert torch.allclose(gradient, expected[1], atol=1e-3 * float(expected[1].abs().max()))


@pytest.mark.parametrize(
    "centres", [[[144.0, 144.0], [150.0, 98.0]], [[11.0, 279.0], [287.0, 2.0]]]
)
def test_a_window_of_the_features_changes_nothing(
    net: DCFSTNet, blocks: Features, modulation: Features, centres: list[list[float]]
) -> None:
    config = TrackerConfig(position_refinement=1.0)
    wh = torch.tensor([[57.0, 57.0], [40.0, 60.0]])
    peaks = torch.tensor(centres)
    with torch.no_grad():
        fused = InferenceNet(net, CPU, "float32")
        refiner = BoxRefiner(fused, config, CPU)
        cells = refiner.window_cells(60.0)
        assert cells is not None and refiner.window_cells(280.0) is None
        windowed, iou = refiner(blocks, modulation, peaks, wh, cells)
        whole, whole_iou = refiner(blocks, modulation, peaks, wh)
    assert torch.allclose(windowed, whole, atol=0.02)
    assert torch.allclose(iou, whole_iou, atol=1e-3)
    assert (whole[:, :2] - peaks).abs().max() > 0.1  # it did move


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
