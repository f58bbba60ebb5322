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


def hat_integrals(edges_low: Tensor, edges_high: Tensor, cells: int) -> Tensor:
    """Integrate each cell's hat function over intervals.

    `edges_low`, `edges_high`: (...) in feature coordinates. Returns (..., cells): entry u is the
    integral of max(0, 1 - |t - u|) for t from low to high.
    """
    centres = torch.arange(cells, dtype=edges_low.dtype, device=edges_low.device)
    return _hat_primitive(edges_high[..., None] - centres) - _hat_primitive(
        edges_low[..., None] - centres
    )


def _hat_primitive(t: Tensor) -> Tensor:
    # The integral of the hat from -infinity to t; the clamp makes it constant beyond its support.
    t = t.clamp(-1, 1)
    return 0.5 + t - 0.5 * t * t.abs()


def bin_means(low: Tensor, high: Tensor, bins: int, cells: int) -> Tensor:
    """Weights (..., bins, cells) that average a 1-D surface over equal bins of [low, high].

    `low`, `high`: (...) interval ends in feature coordinates, low < high.
    """
    fractions = torch.arange(bins + 1, dtype=low.dtype, device=low.device) / bins
    edges = low[..., None] + (high - low)[..., None] * fractions
    width = (high - low)[..., None, None] / bins
    return hat_integrals(edges[..., :-1], edges[..., 1:], cells) / width


def prroi_pool(features: Tensor, rois_xyxy: Tensor, bins: int) -> Tensor:
    """Pool any RoIs of a batch of feature maps (general form).

    `features`: (B, C, H, W). `rois_xyxy`: (B, R, 4) in feature coordinates, R RoIs for each map.
    Returns (B, R, C, bins, bins).
    """
    batch, channels, height, width = features.shape
    count = rois_xyxy.shape[1]
    x0, y0, x1, y1 = rois_xyxy.unbind(dim=-1)
    weights_y = bin_means(y0, y1, bins, height).to(features.dtype)  # (B, R, bins, H)
    weights_x = bin_means(x0, x1, bins, width).to(features.dtype)  # (B, R, bins, W)
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
    bins = kernel.shape[-1]
    maps = kernel.flatten(2).transpose(1, 2) @ features.flatten(2).to(kernel.dtype)
    maps = maps.view(batch, bins, bins, height, width)
    weights_y = weights_y.to(kernel.dtype)
    weights_x = weights_x.to(kernel.dtype)
    # For each bin (a, b): Ay_a maps_ab Ax_b^T, added up over the bins.
    partial = torch.einsum("bnah,bachw->bancw", weights_y, maps)
    return torch.einsum("bancw,bmcw->bnm", partial, weights_x)
