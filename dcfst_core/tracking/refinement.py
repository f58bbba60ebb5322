"""ATOM's box refinement: gradient ascent on the predicted IoU (Danelljan et al., CVPR 2019)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from dcfst_core.inference.iou_field import Field, Guide
from dcfst_core.inference.net import InferenceNet
from dcfst_core.network.backbone import STRIDE_BLOCK3, STRIDE_BLOCK4
from dcfst_core.network.box_tensors import cxcywh_to_xyxy
from dcfst_core.network.embedding import Features
from dcfst_core.tracking.config import TrackerConfig

# Two 3x3 convolutions and the bilinear surface reach so many cells beyond a box.
_MARGIN_CELLS = 3
_GROWTH = 1.25
_STRIDES = (STRIDE_BLOCK3, STRIDE_BLOCK4)

Cells = tuple[int, int]
"""So many cells along each side, of block3 and of block4."""


def refine_boxes(
    field: Field, boxes_cxcywh: Tensor, iterations: int, step_length: float
) -> tuple[Tensor, Tensor]:
    """Move boxes uphill on the predicted IoU.

    Each box moves in its own units: its centre by fractions of its size, its size by its
    logarithm, so that one step length fits targets of any size and aspect.

    `boxes_cxcywh`: (B, R, 4) start boxes.
    Returns the refined boxes (B, R, 4; cxcywh) and their scores (B, R).
    """
    start_centre, start_wh = boxes_cxcywh.split(2, dim=-1)
    boxes, shift = boxes_cxcywh, torch.zeros_like(boxes_cxcywh)
    for _ in range(iterations):
        low, high = field(cxcywh_to_xyxy(boxes))[1].split(2, dim=-1)
        # d/d centre in start sizes, and d/d log size of the present box.
        by_centre, by_log_size = (low + high) * start_wh, (high - low) * boxes[..., 2:] / 2
        shift = shift + step_length * torch.cat((by_centre, by_log_size), dim=-1)
        centre = start_centre + shift[..., :2] * start_wh
        boxes = torch.cat((centre, start_wh * shift[..., 2:].exp()), dim=-1)
    return boxes, field.scores(cxcywh_to_xyxy(boxes))


class Refined(NamedTuple):
    """Refined boxes of some targets, one row each."""

    box_cxcywh: Tensor
    """(B, 4) patch px: the mean of the best."""
    predicted_iou: Tensor
    """(B,) in [0, 1]."""
    spread: Tensor
    """(B,) how far the best lie apart: mean deviation of centres in sizes, and of log sizes."""


class BoxRefiner:
    """From score peaks to boxes, as the config says."""

    def __init__(self, net: InferenceNet, config: TrackerConfig, device: torch.device) -> None:
        self._net = net
        self._config = config
        self._jitter = _proposal_jitter(config).to(device)

    def __call__(
        self,
        blocks: Features,
        guide: Guide,
        centre_xy: Tensor,
        target_wh: Tensor,
        cells: Cells | None = None,
    ) -> Refined:
        """Boxes in patch px around the peaks.

        `blocks`: trunk features of the search regions; `centre_xy`, `target_wh`: (B, 2), peaks and
        last sizes in patch px; `cells`: from `window_cells`.
        """
        config = self._config
        shift, stretch = self._jitter.split(2, dim=1)
        proposals = torch.cat(
            (centre_xy[:, None] + shift * target_wh[:, None], target_wh[:, None] * stretch.exp()),
            dim=-1,
        )
        origins = None
        if cells is not None:
            blocks, origins = _windows(blocks, centre_xy, cells)
        field = self._net.iou_field(self._net.iou_features(blocks), guide, origins)
        refined, predicted = refine_boxes(
            field, proposals, config.box_refinement_iter, config.box_refinement_step_length
        )
        values, best = predicted.topk(config.num_averaged, dim=1)
        chosen = refined.gather(1, best[..., None].expand(-1, -1, 4))
        box = chosen.mean(dim=1)
        relative = torch.cat((chosen[..., :2] / target_wh[:, None], chosen[..., 2:].log()), dim=-1)
        spread = relative.var(dim=1, correction=0).mean(dim=1).sqrt()
        # The predictor's scale is [-1, 1].
        return Refined(box, ((values.mean(dim=1) + 1) / 2).clamp(0, 1), spread)

    def window_cells(self, longest_side: float) -> Cells | None:
        """How many cells of each block the boxes of targets with such a longest side, px, can see.

        None stands for all of them: also on a GPU, where a shape that stays is worth more.
        """
        whole = [self._config.patch_size // stride for stride in _STRIDES]
        seen = [
            math.ceil(_GROWTH * longest_side / stride) + 2 * _MARGIN_CELLS + 1
            for stride in _STRIDES
        ]
        if not self._net.cuts_windows or seen[0] >= whole[0]:
            return None
        return seen[0], min(seen[1], whole[1])


def _windows(blocks: Features, centre_xy: Tensor, cells: Cells) -> tuple[Features, Features]:
    """The parts of the features around the peaks, and the origins (B, 2) of each in patch px.

    Each block has a window of its own: its cells are of another size, and so is what its
    convolutions see.
    """
    cuts, origins = [], []
    for block, stride, count in zip(blocks, _STRIDES, cells, strict=True):
        most = block.shape[-1] - count
        start = (centre_xy / stride - count / 2).round().long().clamp(0, most)
        cuts.append(_cut(block, start, count))
        origins.append((start * stride).to(centre_xy.dtype))
    return (cuts[0], cuts[1]), (origins[0], origins[1])


def _cut(block: Tensor, start_xy: Tensor, cells: int) -> Tensor:
    """Square cuts (B, C, cells, cells), channels last, of feature maps (B, C, H, W)."""
    steps = torch.arange(cells, device=block.device)
    xs, ys = start_xy[:, :1] + steps, start_xy[:, 1:] + steps
    batch = torch.arange(len(block), device=block.device)[:, None, None]
    picked: Tensor = block.permute(0, 2, 3, 1)[batch, ys[:, :, None], xs[:, None]]
    return picked.permute(0, 3, 1, 2)


def _proposal_jitter(config: TrackerConfig) -> Tensor:
    """Offsets (num_proposals, 4) of the proposals, in box sizes and log sizes; the first is zero.

    Drawn once, so that equal frames give equal boxes whatever was tracked before, and in pairs of
    opposites, so that a few of them do not lean to one side.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(config.num_proposals // 2, 4, generator=generator) * 2 - 1
    pairs = torch.stack((drawn, -drawn), dim=1).flatten(0, 1)
    unit = torch.cat((torch.zeros(1, 4), pairs))[: config.num_proposals]
    position, size = config.proposal_position_jitter, config.proposal_size_jitter
    return unit * torch.tensor([position, position, size, size])
