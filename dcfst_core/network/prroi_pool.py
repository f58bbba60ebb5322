"""Precise RoI pooling (Jiang et al., "Acquisition of Localization Confidence", 2018) in plain
PyTorch.

The feature map is taken as a continuous surface by bilinear interpolation, and each bin of a RoI
holds that surface's mean over the bin, computed exactly. The bilinear kernel is a product of two
hat functions, so the integral is separable: pooled = Ay F Ax^T / bin area, where Ay (bins x H) and
Ax (bins x W) hold the closed-form integrals of the hats over the bins. Autograd then gives exact
gradients to the features *and* to the box coordinates, on any device, with nothing to compile.

RoI coordinates here are feature coordinates: cell u has its centre at u. Outside of the map the
surface falls to zero within one cell and stays zero.
"""

from __future__ import annotations

import torch
from torch import Tensor


def bin_means(low: Tensor, high: Tensor, bins: int, cells: int) -> Tensor:
    """Weights (..., bins, cells) that average a 1-D surface over equal bins of [low, high].

    `low`, `high`: (...) interval ends in feature coordinates, low < high. Entry u of a bin is the
    integral of cell u's hat, max(0, 1 - |t - u|), over the bin, divided by its length.
    """
    fractions = torch.arange(bins + 1, dtype=low.dtype, device=low.device) / bins
    centres = torch.arange(cells, dtype=low.dtype, device=low.device)
    edges = torch.lerp(low[..., None], high[..., None], fractions)
    # Each edge ends one bin and begins the next; the clamp makes a hat's integral constant beyond.
    t = (edges[..., None] - centres).clamp(-1, 1)
    twice_integrals = t * (2 - t.abs())
    return twice_integrals.diff(dim=-2) * (bins / 2 / (high - low))[..., None, None]


def prroi_pool(features: Tensor, rois_xyxy: Tensor, bins: int) -> Tensor:
    """Pool any RoIs of a batch of feature maps (general form).

    `features`: (B, C, H, W). `rois_xyxy`: (B, R, 4) in feature coordinates, R RoIs for each map.
    Returns (B, R, C, bins, bins).
    """
    batch, channels, height, width = features.shape
    count = rois_xyxy.shape[1]
    # Both axes at once: what this costs is the number of operations.
    low, high = rois_xyxy.split(2, dim=-1)
    means = bin_means(low, high, bins, max(height, width)).to(features.dtype)
    weights_x, weights_y = means.unbind(dim=2)
    weights_x, weights_y = weights_x[..., :width], weights_y[..., :height]
    # Rows first, for all RoIs of a map in one product, with the channels innermost: then neither
    # direction of the computation copies anything (8 times faster backward on a CPU).
    lines = features.permute(0, 2, 3, 1).reshape(batch, height, width * channels)
    rows = weights_y.reshape(batch, count * bins, height) @ lines
    pooled = weights_x[:, :, None] @ rows.view(batch, count, bins, width, channels)
    return pooled.permute(0, 1, 4, 2, 3)


def prroi_pool_grid(
    features: Tensor, weights_y: Tensor, weights_x: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """Pool a grid of equally sized RoIs, whose rows and columns share their integrals.

    `features`: (B, C, H, W). `weights_y`: (B, n, bins, H) and `weights_x`: (B, m, bins, W), from
    `bin_means` of the grid's n row and m column intervals. `dtype`: of the result (None: that of
    the features).
    Returns (B, n * m, C, bins, bins), the rows of the grid outermost and the channels innermost in
    memory: the same numbers as `prroi_pool` on the n * m RoIs, for two matrix products in all.
    """
    batch, channels, height, width = features.shape
    rows, bins = weights_y.shape[1:3]
    cols = weights_x.shape[1]
    weights_y = weights_y.reshape(batch, rows * bins, height).to(features.dtype)
    weights_x = weights_x.reshape(batch, 1, cols * bins, width).to(features.dtype)
    lines = features.permute(0, 2, 3, 1).reshape(batch, height, width * channels)
    pooled = weights_x @ (weights_y @ lines).view(batch, rows * bins, width, channels)
    pooled = pooled.view(batch, rows, bins, cols, bins, channels).transpose(2, 3)
    # One pass to gather each RoI's bins, whatever the format.
    pooled = pooled.to(dtype or pooled.dtype).contiguous()
    return pooled.view(batch, rows * cols, bins, bins, channels).permute(0, 1, 4, 2, 3)


def prroi_score_grid(
    features: Tensor, kernel: Tensor, weights_y: Tensor, weights_x: Tensor
) -> Tensor:
    """Inner product of one kernel with the pooled features of every RoI of a grid.

    The same numbers as `(prroi_pool_grid(...) * kernel).sum((2, 3, 4))`, without forming the
    pooled features: the channels are contracted first, which turns the features into bins * bins
    score maps, and those are integrated.

    `features`: (B, C, H, W). `kernel`: (B, C, bins, bins). `weights_y`, `weights_x` as in
    `prroi_pool_grid`. Returns (B, n, m).
    """
    batch, _, height, width = features.shape
    rows, bins = weights_y.shape[1:3]
    cols = weights_x.shape[1]
    maps = kernel.flatten(2).mT @ features.flatten(2).to(kernel.dtype)
    maps = maps.view(batch, bins, bins, height, width).transpose(2, 3)
    maps = maps.reshape(batch, bins * height, bins * width)
    # For each bin (a, b): Ay_a maps_ab Ax_b^T, added up over the bins by the products themselves.
    weights_y = weights_y.reshape(batch, rows, bins * height).to(kernel.dtype)
    weights_x = weights_x.reshape(batch, cols, bins * width).to(kernel.dtype)
    return weights_y @ maps @ weights_x.mT
