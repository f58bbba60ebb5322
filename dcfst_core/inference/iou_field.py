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
class EqualBins:
    """Where equal bins of an interval lie on the cells of a feature map's side."""

    count: int
    stride: int
    fractions: Tensor
    """(count + 1,) where the bins' edges lie between the interval's ends."""
    ends: Tensor
    """(count + 1, 2) how far each edge goes with either end."""
    centres: Tensor
    """(S,) of the cells, in cells, as the coordinates of boxes have them."""

    @classmethod
    def of(cls, count: int, stride: int, cells: int, like: Tensor) -> EqualBins:
        fractions = torch.arange(count + 1, dtype=like.dtype, device=like.device) / count
        centres = torch.arange(cells, dtype=like.dtype, device=like.device)
        ends = torch.stack((1 - fractions, fractions), dim=1)
        # `patch_to_feature`, with the box's part of it left to the caller.
        return cls(
            count,
            stride,
            fractions,
            ends,
            centres - patch_to_feature(torch.zeros_like(centres), stride),
        )

    def means(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What averages the surface over each bin of intervals (...), given in strides.

        Returns the weights (..., count, S), as `bin_means` has them, and what `back` needs: the
        cells' hats at the edges (..., count + 1, S) and the bins a cell (..., 1).
        """
        edges = torch.lerp(low[..., None], high[..., None], self.fractions)
        t = (edges[..., None] - self.centres).clamp_(-1, 1)
        hats = 1 - t.abs()
        # Twice the hat's integral up to t, less one.
        integral = torch.addcmul(t, t, hats)
        density = self.count / (high - low)[..., None]
        return integral.diff(dim=-2) * (density[..., None] / 2), hats, density

    def back(self, by_means: Tensor, means: Tensor, hats: Tensor, density: Tensor) -> Tensor:
        """The gradient in both ends (..., 2), per pixel, from that in the weights."""
        # An edge takes from one bin what it gives to the next; a longer interval thins all.
        by_edge = (hats * F.pad(by_means, (0, 0, 1, 1)).diff(dim=-2)).sum(dim=-1)
        by_length = (by_means * means).sum(dim=(-2, -1))[..., None] / self.count
        by_ends = by_edge @ self.ends
        by_ends[..., :1] -= by_length
        by_ends[..., 1:] += by_length
        return by_ends * (-density / self.stride)


class FewRows:
    """A fully connected layer and its transpose for a few rows, each in the form that is fast.

    Of a product of few rows most of the time goes into reading the weights. A library that packs
    them first reads them twice; which operand it packs depends on its place and format.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """`weight`: (out, in)."""
        self.bias = None if bias is None else bias.float()
        self._weight = weight.contiguous()
        self._transposed = weight.mT.contiguous()
        self._weight_first = weight.dtype != torch.float32

    def __call__(self, rows: Tensor) -> Tensor:
        """(N, in) float32 to (N, out) float32."""
        rows = rows.to(self._weight.dtype)
        if self._weight_first:
            out = (self._weight @ rows.mT).mT.float()
        else:
            out = rows @ self._transposed
        return out if self.bias is None else out + self.bias

    def back(self, rows: Tensor) -> Tensor:
        """The gradient in the inputs (N, in) from that in the outputs (N, out); float32."""
        rows = rows.to(self._weight.dtype)
        if self._weight_first:
            return (self._transposed @ rows.mT).mT.float()
        return rows @ self._weight


@dataclass(frozen=True)
class _Branch:
    """One block's share: modulated features, fully connected layer, and predictor weights."""

    lines: Tensor
    """Features (B, S, S * C), modulated, channels innermost."""
    bins: EqualBins
    layer: FewRows
    """From bins * bins * C to 256."""
    predictor: Tensor
    """(B, 256), its share of the last layer."""
    offset: Tensor
    """(B or 1, 1, 4) what is added to a box in strides: the features may be a part of the map."""

    def __call__(self, boxes_xyxy: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor]:
        """Score share (B, R) of boxes (B, R, 4), patch px, and its gradient (B, R, 4) or zero."""
        (batch, count), cells = boxes_xyxy.shape[:2], self.lines.shape[1]
        bins, flat = self.bins.count, batch * count
        in_strides = torch.add(self.offset, boxes_xyxy, alpha=1 / self.bins.stride)
        low, high = in_strides.view(flat, 2, 2).unbind(dim=1)
        weights = self.bins.means(low, high)  # x and y side by side
        mean_x, mean_y = weights[0].unbind(dim=1)
        # Pool rows, then columns; every intermediate keeps the channels innermost.
        rows = mean_y.reshape(batch, count * bins, cells) @ self.lines
        rows = rows.view(flat, bins, cells, -1)
        across = mean_x[:, None]
        pooled = across @ rows
        hidden = self.layer(pooled.flatten(1)).view(batch, count, -1)
        score = (hidden.relu() @ self.predictor[..., None]).squeeze(-1)
        if not with_gradient:
            return score, torch.zeros_like(boxes_xyxy)
        # Backwards by hand: from the hidden layer to the pooled features, to both weights.
        slope = torch.where(hidden > 0, self.predictor[:, None], 0.0).flatten(0, 1)
        by_pooled = self.layer.back(slope).view_as(pooled)
        by_x = (by_pooled @ rows.mT).sum(dim=1)
        by_rows = (across.mT @ by_pooled).view(batch, count * bins, -1)
        by_y = (by_rows @ self.lines.mT).view_as(by_x)
        by_ends = self.bins.back(torch.stack((by_x, by_y), dim=1), *weights)
        return score, by_ends.mT.reshape(boxes_xyxy.shape)


class IoUField:
    """Predicted IoU of boxes in fixed features, for fixed targets.

    `layers`: the predictor's fully connected ones, of both blocks. `features`: 2 x (B, 256, S, S)
    float32, from `IoUNet.convolve`. `origins`: 2 x (B, 2), where they begin in the patch, patch
    px, if they are a part of its features.
    """

    def __init__(
        self,
        layers: tuple[FewRows, FewRows],
        features: Features,
        guide: Guide,
        origins: Features | None = None,
    ) -> None:
        self._offset = guide.bias[:, None]
        nowhere = guide.bias.new_zeros(1, 2)
        self._branches = [
            _branch(part, vector, stride, bins, layer, predictor, origin)
            for part, vector, stride, bins, layer, predictor, origin in zip(
                features,
                guide.modulation,
                (STRIDE_BLOCK3, STRIDE_BLOCK4),
                (5, 3),
                layers,
                guide.weight.chunk(2, dim=1),
                origins or (nowhere, nowhere),
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
    layer: FewRows,
    predictor: Tensor,
    origin_xy: Tensor,
) -> _Branch:
    batch, channels, cells, _ = features.shape
    # Pooling is linear, so modulating the features once replaces modulating every pooled box.
    modulated = features.permute(0, 2, 3, 1) * modulation[:, None, None]
    lines = modulated.reshape(batch, cells, cells * channels)
    offset = (origin_xy / -stride).repeat(1, 2)[:, None]
    return _Branch(lines, EqualBins.of(bins, stride, cells, lines), layer, predictor, offset)
