"""The predicted IoU as a function of the box, with its gradient in closed form.

Box refinement asks for the same few numbers again and again: the score of ten boxes and its slope
in their four edges. Everything between is linear but one ReLU, so the slope is written out here;
autograd gives the same numbers (`IoUNet.predict` is the oracle in the tests) at several times the
cost on a CPU, most of it bookkeeping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dcfst_core.network.backbone import STRIDE_BLOCK3, STRIDE_BLOCK4, patch_to_feature
from dcfst_core.network.embedding import Features
from dcfst_core.network.iou_net import IoUNet, linear_weight
from dcfst_core.network.prroi_pool import bin_means_and_slopes


class Guide(NamedTuple):
    """What the IoU predictor knows of some targets, one row each."""

    modulation3: Tensor
    modulation4: Tensor
    """(B, 256) of each block, from the reference branch."""
    weight: Tensor
    """(B, 512) the predictor's last layer, which may be fitted to the target."""
    bias: Tensor
    """(B,)"""

    @property
    def modulation(self) -> tuple[Tensor, Tensor]:
        """Both blocks' vectors."""
        return self.modulation3, self.modulation4


class Field(Protocol):
    """A score of boxes xyxy (B, R, 4) that can be climbed."""

    def __call__(self, boxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, R) and their gradients (B, R, 4)."""

    def scores(self, boxes_xyxy: Tensor) -> Tensor:
        """The scores alone."""


@dataclass(frozen=True)
class _Branch:
    """One block's share: modulated features, fully connected layer, and predictor weights."""

    lines: Tensor
    """Features (B, H, W * C), modulated, channels innermost."""
    size: tuple[int, int, int]
    """(H, W, C)."""
    stride: int
    bins: int
    weight: Tensor
    """(256, bins * bins * C)."""
    bias: Tensor | None
    predictor: Tensor
    """(B, 256), its share of the last layer."""

    def __call__(self, boxes_xyxy: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor]:
        """Score share (B, R) of boxes (B, R, 4), patch px, and its gradient (B, R, 4) or zero."""
        batch, count = boxes_xyxy.shape[:2]
        height, width, channels = self.size
        bins, flat = self.bins, batch * count
        x0, y0, x1, y1 = patch_to_feature(boxes_xyxy, self.stride).unbind(dim=-1)
        mean_y, low_y, high_y = bin_means_and_slopes(y0, y1, bins, height)
        mean_x, low_x, high_x = bin_means_and_slopes(x0, x1, bins, width)
        # Pool rows, then columns; every intermediate keeps the channels innermost.
        rows = mean_y.reshape(batch, count * bins, height) @ self.lines
        rows = rows.view(flat, bins, width, channels)
        across = mean_x.reshape(flat, 1, bins, width)
        pooled = (across @ rows).view(flat, -1)
        hidden = F.linear(pooled.to(self.weight.dtype), self.weight, self.bias).float()
        hidden = hidden.view(batch, count, -1)
        score = (hidden.relu() @ self.predictor[..., None]).squeeze(-1)
        if not with_gradient:
            return score, torch.zeros_like(boxes_xyxy)
        # Backwards by hand: from the hidden layer to the pooled features, to both weights.
        slope = torch.where(hidden > 0, self.predictor[:, None], 0.0).flatten(0, 1)
        by_pooled = (
            (slope.to(self.weight.dtype) @ self.weight).float().view(flat, bins, bins, channels)
        )
        by_x = (by_pooled @ rows.mT).sum(dim=1).view(batch, count, bins, width)
        by_rows = across.mT @ by_pooled
        by_y = by_rows.view(batch, count * bins, -1) @ self.lines.mT
        by_y = by_y.view(batch, count, bins, height)
        gradient = torch.stack(
            [
                (by * edge).sum(dim=(-2, -1))
                for by, edge in ((by_x, low_x), (by_y, low_y), (by_x, high_x), (by_y, high_y))
            ],
            dim=-1,
        )
        return score, gradient / self.stride


class IoUField:
    """Predicted IoU of boxes in fixed features, for fixed targets.

    `net`: its normalisation layers fused away (see `InferenceNet`). `features`: 2 x (B, 256, H, W)
    float32, from `IoUNet.convolve`.
    """

    def __init__(self, net: IoUNet, features: Features, guide: Guide) -> None:
        self._offset = guide.bias[:, None]
        self._branches = [
            _branch(part, vector, stride, bins, *linear_weight(fc), predictor)
            for part, vector, stride, bins, fc, predictor in zip(
                features,
                guide.modulation,
                (STRIDE_BLOCK3, STRIDE_BLOCK4),
                (5, 3),
                (net.fc3, net.fc4),
                guide.weight.chunk(2, dim=1),
                strict=True,
            )
        ]

    def __call__(self, boxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, R), scaled to [-1, 1], of boxes (B, R, 4) in patch px; gradient (B, R, 4)."""
        return self._evaluate(boxes_xyxy, with_gradient=True)

    def scores(self, boxes_xyxy: Tensor) -> Tensor:
        """The scores alone."""
        return self._evaluate(boxes_xyxy, with_gradient=False)[0]

    def _evaluate(self, boxes_xyxy: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor]:
        (score3, gradient3), (score4, gradient4) = (
            branch(boxes_xyxy, with_gradient) for branch in self._branches
        )
        return score3 + score4 + self._offset, gradient3 + gradient4


def _branch(
    features: Tensor,
    modulation: Tensor,
    stride: int,
    bins: int,
    weight: Tensor,
    bias: Tensor | None,
    predictor: Tensor,
) -> _Branch:
    batch, channels, height, width = features.shape
    # Pooling is linear, so modulating the features once replaces modulating every pooled box.
    modulated = features.permute(0, 2, 3, 1) * modulation[:, None, None]
    lines = modulated.reshape(batch, height, width * channels)
    return _Branch(lines, (height, width, channels), stride, bins, weight, bias, predictor)
