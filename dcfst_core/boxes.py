"""Box formats, clipping and overlap.

The pixel convention of the whole project, stated once: coordinates are continuous, pixel index i
covers [i, i + 1), its centre is i + 0.5, and an image of width W spans [0, W]. A box `xywh` has
its left, top edge at (x, y); a box `xyxy` spans [x0, x1] x [y0, y1]; `cxcywh` is centre and size.
(OTB's published files are 1-based: subtract 1 from x and y.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dcfst_core.errors import BoxError

BoxXYWH = tuple[float, float, float, float]


def xywh_to_xyxy(boxes_xywh: Tensor) -> Tensor:
    """Convert boxes (..., 4) from left, top, width, height to left, top, right, bottom."""
    xy, wh = boxes_xywh.split(2, dim=-1)
    return torch.cat((xy, xy + wh), dim=-1)


def xyxy_to_xywh(boxes_xyxy: Tensor) -> Tensor:
    """Convert boxes (..., 4) from left, top, right, bottom to left, top, width, height."""
    low, high = boxes_xyxy.split(2, dim=-1)
    return torch.cat((low, high - low), dim=-1)


def xywh_to_cxcywh(boxes_xywh: Tensor) -> Tensor:
    """Convert boxes (..., 4) from left, top, width, height to centre and size."""
    xy, wh = boxes_xywh.split(2, dim=-1)
    return torch.cat((xy + wh / 2, wh), dim=-1)


def cxcywh_to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    """Convert boxes (..., 4) from centre and size to left, top, right, bottom."""
    centre, wh = boxes_cxcywh.split(2, dim=-1)
    return torch.cat((centre - wh / 2, centre + wh / 2), dim=-1)


def iou_xyxy(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Intersection over union of two broadcastable sets of boxes (..., 4); empty boxes give 0."""
    low = torch.maximum(a_xyxy[..., :2], b_xyxy[..., :2])
    high = torch.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    intersection = (high - low).clamp(min=0).prod(dim=-1)
    area_a = (a_xyxy[..., 2:] - a_xyxy[..., :2]).clamp(min=0).prod(dim=-1)
    area_b = (b_xyxy[..., 2:] - b_xyxy[..., :2]).clamp(min=0).prod(dim=-1)
    union = area_a + area_b - intersection
    return intersection / union.clamp(min=torch.finfo(union.dtype).tiny)


def centre_distance(a_xywh: BoxXYWH, b_xywh: BoxXYWH) -> float:
    """Pixels between the centres of two boxes x, y, w, h."""
    dx = a_xywh[0] + a_xywh[2] / 2 - b_xywh[0] - b_xywh[2] / 2
    dy = a_xywh[1] + a_xywh[3] / 2 - b_xywh[1] - b_xywh[3] / 2
    return math.hypot(dx, dy)


def check_box(box_xywh: Sequence[float], frame_width: int, frame_height: int) -> BoxXYWH:
    """Return the box as four floats, or raise BoxError saying what is wrong with it.

    A box may reach over the image border (a target half outside), but must overlap the image, be
    finite and have positive width and height. `box_xywh`: 4 numbers in pixels.
    """
    try:
        x, y, w, h = (float(value) for value in box_xywh)
    except (TypeError, ValueError):
        raise BoxError(f"expected a box of 4 numbers x, y, w, h; got {box_xywh!r}") from None
    shown = f"({x:g}, {y:g}, {w:g}, {h:g})"
    if not all(math.isfinite(value) for value in (x, y, w, h)):
        raise BoxError(f"expected a box x, y, w, h of finite numbers; got {shown}")
    if w <= 0 or h <= 0:
        raise BoxError(f"expected a box with positive width and height; got x, y, w, h = {shown}")
    if x >= frame_width or y >= frame_height or x + w <= 0 or y + h <= 0:
        raise BoxError(
            f"expected a box that overlaps the {frame_width}x{frame_height} image; "
            f"x, y, w, h = {shown} lies outside of it"
        )
    return (x, y, w, h)


def clip_box(box_xywh: BoxXYWH, frame_width: int, frame_height: int, margin: float) -> BoxXYWH:
    """Keep at least `margin` pixels (or the whole box, if smaller) of a box inside the image.

    The centre moves; the size stays, so a target that leaves the image keeps its size.
    """
    x, y, w, h = box_xywh
    margin_x, margin_y = min(margin, w), min(margin, h)
    x = min(max(x, margin_x - w), frame_width - margin_x)
    y = min(max(y, margin_y - h), frame_height - margin_y)
    return (x, y, w, h)
