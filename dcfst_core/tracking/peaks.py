"""Peaks of the score maps: where the target is, and whether something else looks like it."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dcfst_core.network.samples import SampleGrid


class Peaks(NamedTuple):
    """The main and the second peak of a batch of score maps."""

    score: Tensor
    """(B,) height of the main peak; -inf where there is none within reach."""
    centre_xy: Tensor
    """(B, 2) position of the main peak, patch px."""
    second_score: Tensor
    """(B,) greatest score outside of the main peak's neighbourhood."""
    second_xy: Tensor
    """(B, 2) its sample's centre, patch px."""


def find_peaks(
    scores: Tensor,
    grid: SampleGrid,
    target_wh: Tensor,
    subgrid: bool,
    window: Tensor | None = None,
    reach: Tensor | None = None,
) -> Peaks:
    """Locate the peaks of score maps (B, n, n).

    `target_wh`: (B, 2) in patch px: scores nearer than this to the peak belong to it. `window`:
    (B, n, n), or one for all, of factors in [0, 1]. It only decides which peak is the main one;
    heights are those of the unweighted scores. `reach`: (B, 3) x, y and radius, patch px, of
    circles in which the main peaks have to lie; an infinite radius is no limit.
    """
    batch, size, _ = scores.shape
    weighted = scores
    if window is not None:
        # Lowered by a share of their magnitude: negative scores must not rise.
        weighted = scores - (1 - window) * scores.abs()
    if reach is not None:
        weighted = weighted.masked_fill(~_within_reach(scores, grid, reach), float("-inf"))
    highest, best = weighted.flatten(1).max(dim=1)
    row, col = best // size, best % size
    index = torch.arange(batch, device=scores.device)
    height = torch.where(highest.isneginf(), highest, scores[index, row, col])
    centre = _centre_xy(grid, row, col)
    if subgrid:
        offset_y = _gaussian_vertex(scores[index, :, col], row)
        offset_x = _gaussian_vertex(scores[index, row, :], col)
        centre = centre + torch.stack((offset_x, offset_y), dim=1) * grid.spacing
    second, place = _second_peak(scores, row, col, grid, target_wh)
    return Peaks(height, centre, second, _centre_xy(grid, place // size, place % size))


def _centre_xy(grid: SampleGrid, row: Tensor, col: Tensor) -> Tensor:
    middle = (grid.size - 1) / 2
    return (torch.stack((col, row), dim=1) - middle) * grid.spacing + grid.patch_size / 2


def _within_reach(scores: Tensor, grid: SampleGrid, reach: Tensor) -> Tensor:
    """Where a main peak may be (B, n, n): on maxima in the circle, anywhere where it has no end.

    A peak just outside of a circle is not to be taken at its slope inside.
    """
    points = grid.centres(scores.device)
    x, y, radius = reach[:, :, None].unbind(dim=1)  # each (B, 1)
    distance2 = (points - y).square()[:, :, None] + (points - x).square()[:, None, :]
    radius = radius[..., None]
    is_maximum = scores >= F.max_pool2d(scores, 3, stride=1, padding=1)
    return (distance2 <= radius.square()) & (is_maximum | radius.isinf())


def _gaussian_vertex(profile: Tensor, peak: Tensor) -> Tensor:
    """Offset in [-0.5, 0.5] of the vertex through a peak (B,) of profiles (B, n) and its sides.

    The labels are Gaussian, and so are the scores near the target: their logarithm is a parabola.
    """
    last = profile.shape[1] - 1
    rows = torch.arange(len(profile), device=profile.device)
    profile = profile.clamp(min=1e-3).log()
    left = profile[rows, (peak - 1).clamp(min=0)]
    right = profile[rows, (peak + 1).clamp(max=last)]
    curvature = left - 2 * profile[rows, peak] + right
    vertex = 0.5 * (left - right) / curvature.clamp(max=-1e-9)
    inside = (peak > 0) & (peak < last)
    return torch.where(inside, vertex.clamp(-0.5, 0.5), torch.zeros_like(vertex))


def _second_peak(
    scores: Tensor, row: Tensor, col: Tensor, grid: SampleGrid, target_wh: Tensor
) -> tuple[Tensor, Tensor]:
    """The greatest score (B,) away from the main peak, and the flat index (B,) of its sample."""
    index = torch.arange(scores.shape[1], device=scores.device)
    near = target_wh / grid.spacing
    near_x = (index - col[:, None]).abs() < near[:, :1]
    near_y = (index - row[:, None]).abs() < near[:, 1:]
    away = scores.masked_fill(near_y[:, :, None] & near_x[:, None, :], float("-inf"))
    highest, place = away.flatten(1).max(dim=1)
    return highest, place
