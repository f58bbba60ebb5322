"""Conversions and overlap of boxes in tensors; formats as `dcfst_core.boxes` defines them."""

from __future__ import annotations

import torch
from torch import Tensor


def xywh_to_xyxy(boxes_xywh: Tensor) -> Tensor:
    """Convert boxes (..., 4) from left, top, width, height to left, top, right, bottom."""
    xy, wh = boxes_xywh.split(2, dim=-1)
    return torch.cat((xy, xy + wh), dim=-1)


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
