"""What is made of the first frame: its copies, and an IoU predictor of the target's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from dcfst_core.inference.net import InferenceNet
from dcfst_core.network.box_tensors import iou_xyxy, xywh_to_xyxy
from dcfst_core.network.embedding import Features
from dcfst_core.network.model import DCFSTNet
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.first_frame import (
    DrawnBoxes,
    adapt_modulation,
    augment_patch,
    draw_boxes,
    fit_last_layer,
)
from dcfst_core.tracking.patch import SearchRegion, crop_regions

Scene = Callable[..., np.ndarray]
CPU = torch.device("cpu")
CONFIG = TrackerConfig(precision="float32")
BOX = (60.0, 80.0, 40.0, 48.0)


@pytest.fixture(scope="module")
def net(model: DCFSTNet) -> InferenceNet:
    return InferenceNet(model, CPU, "float32")


@pytest.fixture(scope="module")
def image(scene: Scene) -> torch.Tensor:
    return torch.from_numpy(scene(60, 80)).permute(2, 0, 1)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def drawn(net: InferenceNet, image: torch.Tensor) -> DrawnBoxes:
    with torch.no_grad():
        return draw_boxes(net, image, BOX, CONFIG)


@pytest.fixture(scope="module")
def modulation(net: InferenceNet, image: torch.Tensor) -> Features:
    region = SearchRegion.around(BOX, CONFIG.search_area_scale, CONFIG.patch_size)
    place = xywh_to_xyxy(torch.tensor([region.to_patch(BOX)]))
    with torch.no_grad():
        return net.modulate(net.trunk(crop_regions(image, [region])), place)


def error(net: InferenceNet, drawn: DrawnBoxes, modulation: Features) -> float:
    crops = len(drawn.wanted)
    repeated = (modulation[0].expand(crops, -1), modulation[1].expand(crops, -1))
    predicted = net.predict_pooled_iou(drawn.pooled, repeated)
    return float((predicted - drawn.wanted).square().mean())


def test_copies_share_the_targets_centre() -> None:
    patch = torch.zeros(1, 3, 96, 96)
    patch[:, :, 44:52, 44:52] = 1.0  # a square in the middle
    patch[:, :, 20:24, 70:74] = 1.0  # and a mark elsewhere
    copies = augment_patch(patch)
    assert torch.equal(copies[:1], patch)
    assert torch.equal(copies[1], patch[0].flip(-1))
    for copy in copies:
        weights = copy[0, 36:60, 36:60]
        middle = (weights.sum(0) * torch.arange(24)).sum() / weights.sum()
        assert float(middle) == pytest.approx(11.5, abs=0.2)
    marks = {tuple(copy[0].flatten().topk(80).indices.tolist()) for copy in copies}
    assert len(marks) == len(copies)  # no two are alike


def test_drawn_boxes_have_the_iou_that_is_said(drawn: DrawnBoxes) -> None:
    wanted = (drawn.wanted + 1) / 2
    assert drawn.pooled[0].shape[:2] == drawn.wanted.shape
    assert 0.05 < float(wanted.min()) < 0.35 and 0.9 < float(wanted.max()) <= 1.0


def test_boxes_are_drawn_the_same_every_time(
    net: InferenceNet, image: torch.Tensor, drawn: DrawnBoxes
) -> None:
    again = draw_boxes(net, image, BOX, CONFIG)
    assert torch.equal(again.wanted, drawn.wanted)
    assert all(map(torch.equal, again.pooled, drawn.pooled))


def test_adapted_vectors_predict_the_drawn_boxes_better(
    net: InferenceNet, drawn: DrawnBoxes, modulation: Features
) -> None:
    before = [vector.clone() for vector in modulation]
    adapted = adapt_modulation(net, drawn, modulation, CONFIG)
    assert error(net, drawn, adapted) < 0.8 * error(net, drawn, modulation)
    assert all(map(torch.equal, before, modulation))
    assert not any(vector.requires_grad for vector in adapted)
    none = adapt_modulation(net, drawn, modulation, replace(CONFIG, modulation_adaptation_iter=0))
    assert all(map(torch.equal, none, modulation))


def test_a_fitted_last_layer_predicts_the_drawn_boxes_better(
    net: InferenceNet, drawn: DrawnBoxes, modulation: Features
) -> None:
    plain = net.guide(modulation)
    repeated = tuple(vector.expand(len(drawn.wanted), -1) for vector in modulation)
    hidden = net.iou_hidden(drawn.pooled, repeated).flatten(0, 1)
    wanted, errors = drawn.wanted.flatten(), []
    for regularization in (1e5, 1.0, 0.1, 0.01):
        fitted = fit_last_layer(net, drawn, plain, regularization)
        predicted = hidden @ fitted.weight[0] + fitted.bias
        errors.append(float((predicted - wanted).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == pytest.approx(error(net, drawn, modulation), rel=0.05)
    assert errors[2] < 0.5 * errors[0]
    assert torch.equal(plain.weight, net.guide(modulation).weight)


def test_iou_of_the_given_box_itself_is_highest(
    net: InferenceNet, image: torch.Tensor, drawn: DrawnBoxes, modulation: Features
) -> None:
    """The whole of it: with the fitted guide, the box as given beats displaced ones."""
    vectors = adapt_modulation(net, drawn, modulation, CONFIG)
    guide = fit_last_layer(net, drawn, net.guide(vectors), CONFIG.predictor_fit)
    region = SearchRegion.around(BOX, CONFIG.search_area_scale, CONFIG.patch_size)
    features = net.iou_features(net.trunk(crop_regions(image, [region])))
    x, y, w, h = BOX
    shifts = [
        (0, 0, 1),
        (12, 0, 1),
        (-12, 0, 1),
        (0, 14, 1),
        (0, -14, 1),
        (0, 0, 1.4),
        (0, 0, 0.7),
    ]
    boxes = [
        (x + a - w * (s - 1) / 2, y + b - h * (s - 1) / 2, w * s, h * s) for a, b, s in shifts
    ]
    placed = xywh_to_xyxy(torch.tensor([[region.to_patch(box) for box in boxes]]))
    scores = net.iou_field(features, guide).scores(placed)[0]
    true = 2 * iou_xyxy(placed[0], placed[0, :1]) - 1
    assert int(scores.argmax()) == 0
    assert float((scores - true).abs().mean()) < 0.25
