"""Box formats, overlap, validation."""

from __future__ import annotations

import math

import pytest
import torch

from dcfst_core.boxes import check_box, clip_box
from dcfst_core.errors import BoxError, DCFSTError
from dcfst_core.network.box_tensors import cxcywh_to_xyxy, iou_xyxy, xywh_to_xyxy


def test_formats_agree() -> None:
    xywh = torch.tensor([[10.0, 20.0, 30.0, 40.0], [-5.0, 0.5, 1.0, 2.0]])
    xyxy = torch.tensor([[10.0, 20.0, 40.0, 60.0], [-5.0, 0.5, -4.0, 2.5]])
    assert torch.equal(xywh_to_xyxy(xywh), xyxy)
    cxcywh = torch.tensor([[25.0, 40.0, 30.0, 40.0], [-4.5, 1.5, 1.0, 2.0]])
    assert torch.equal(cxcywh_to_xyxy(cxcywh), xyxy)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0.0),
        ((0, 0, 4, 4), (1, 1, 3, 3), 0.25),
        ((0, 0, 2, 2), (1, 1, 1, 1), 0.0),
        ((1, 1, 1, 1), (1, 1, 1, 1), 0.0),
    ],
)
def test_iou(a: tuple, b: tuple, expected: float) -> None:
    first, second = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    assert float(iou_xyxy(first, second)) == pytest.approx(expected)
    assert float(iou_xyxy(second, first)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((1, 2, 3), r"4 numbers x, y, w, h; got \(1, 2, 3\)"),
        (("a", 2, 3, 4), "4 numbers"),
        (None, "4 numbers"),
        ((1, math.nan, 3, 4), r"finite numbers; got \(1, nan, 3, 4\)"),
        ((1, 2, math.inf, 4), "finite"),
        ((1, 2, 0, 4), r"positive width and height.*\(1, 2, 0, 4\)"),
        ((1, 2, 3, -4), "positive width and height"),
        ((1, 2, 1.9, 4), r"at least 2 pixels a side.*\(1, 2, 1\.9, 4\)"),
        ((1, 2, 40, 0.5), "at least 2 pixels a side"),
        ((0, 0, 14, 2.24e39), r"at most 1,000,000 pixels a side.*2\.24e\+39\)"),
        ((640, 2, 3, 4), r"overlaps the 640x480 image.*\(640, 2, 3, 4\) lies outside"),
        ((-10, 2, 10, 4), "overlaps the 640x480 image"),
    ],
)
def test_boxes_that_are_refused(box: object, message: str) -> None:
    with pytest.raises(BoxError, match=message) as caught:
        check_box(box, 640, 480)  # type: ignore[arg-type]
    assert isinstance(caught.value, DCFSTError | ValueError)


def test_the_least_and_largest_box_and_one_half_outside_are_accepted() -> None:
    assert check_box((1, 2, 2, 2), 640, 480) == (1.0, 2.0, 2.0, 2.0)  # the least there is
    assert check_box((0, 0, 4, 1e6), 640, 480)[3] == 1e6
    assert check_box([-20, 470, 40, 40], 640, 480) == (-20.0, 470.0, 40.0, 40.0)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((100, 100, 20, 20), (100, 100, 20, 20)),
        ((-100, 100, 20, 20), (-18, 100, 20, 20)),
        ((700, 600, 20, 20), (638, 478, 20, 20)),
        ((-5, -5, 1, 1), (0, 0, 1, 1)),
    ],
)
def test_clip_moves_but_does_not_shrink(box: tuple, expected: tuple) -> None:
    assert clip_box(box, 640, 480, margin=2.0) == pytest.approx(expected)
