"""The learned head: from trunk features to the sample features that the regressor sees.

Two branches, one on block3 (8 x 8 bins) and one on block4 (4 x 4 bins): convolutions, PrRoI
pooling over the sample grid, one fully connected layer each; their outputs side by side are the
rows of the data matrix X (paper Section 3.2; D = 2 x 512 = 1024).

Everything after the convolutions is linear: X = P W^T + 1 b^T, with P the pooled features. So the
scores X w equal P (W^T w) + b . w, and locating the target needs one kernel of P's width, never P
itself: see `RegressorKernel` and `Embedding.score`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcfst_core.network.backbone import (
    CHANNELS_BLOCK3,
    CHANNELS_BLOCK4,
    STRIDE_BLOCK3,
    STRIDE_BLOCK4,
)
from dcfst_core.network.prroi_pool import prroi_pool_grid, prroi_score_grid
from dcfst_core.network.samples import SampleGrid

Features = tuple[Tensor, Tensor]


class EmbeddingBranch(nn.Module):
    """Two 3x3 convolutions, pooling into bins x bins cells, and a fully connected layer.

    `residual` adds the convolutions to their input, starting at exactly zero, so that training
    starts from the plain trunk features; without it they replace their input (the paper's form).
    """

    def __init__(
        self, channels: int, stride: int, bins: int, dimensions: int, residual: bool
    ) -> None:
        super().__init__()
        self.stride = stride
        self.bins = bins
        self.residual = residual
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels * bins * bins, dimensions)
        if residual:
            nn.init.zeros_(self.bn2.weight)

    def convolve(self, block: Tensor) -> Tensor:
        """Trunk features (B, C, H, W) to head features of the same shape."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(block)))))
        return block + out if self.residual else F.relu(out)

    def pool(self, features: Tensor, grid: SampleGrid, target_wh: Tensor) -> Tensor:
        """Pooled features P (B, N, C * bins * bins) of all sample RoIs."""
        weights_y, weights_x = grid.pooling_weights(
            target_wh, self.stride, self.bins, features.shape[-1]
        )
        return prroi_pool_grid(features, weights_y, weights_x).flatten(2)

    def embed(self, features: Tensor, grid: SampleGrid, target_wh: Tensor) -> Tensor:
        """The branch's half of the data matrix, (B, N, D / 2)."""
        pooled = self.pool(features, grid, target_wh)
        if self.fc.weight.dtype != torch.float32:
            pooled = pooled.to(self.fc.weight.dtype)
        embedded: Tensor = self.fc(pooled)
        return embedded

    def score(
        self, features: Tensor, kernel: Tensor, grid: SampleGrid, target_wh: Tensor
    ) -> Tensor:
        """P kernel as a map (B, n, n), for kernels (B, C, bins, bins), without forming P."""
        weights_y, weights_x = grid.pooling_weights(
            target_wh, self.stride, self.bins, features.shape[-1]
        )
        return prroi_score_grid(features, kernel, weights_y, weights_x)


class RegressorKernel(NamedTuple):
    """A regressor w pulled back through the fully connected layers: (W^T w, b . w).

    `block3`: (B, 128, 8, 8); `block4`: (B, 256, 4, 4); `offset`: (B,).
    """

    block3: Tensor
    block4: Tensor
    offset: Tensor


class Embedding(nn.Module):
    """Both branches; `dimensions` is D, half of it for each branch."""

    def __init__(self, dimensions: int = 1024, residual: bool = True) -> None:
        super().__init__()
        half = dimensions // 2
        self.block3 = EmbeddingBranch(CHANNELS_BLOCK3, STRIDE_BLOCK3, 8, half, residual)
        self.block4 = EmbeddingBranch(CHANNELS_BLOCK4, STRIDE_BLOCK4, 4, half, residual)

    def convolve(self, blocks: Features) -> Features:
        """Trunk features to head features, both pairs (block3, block4)."""
        return self.block3.convolve(blocks[0]), self.block4.convolve(blocks[1])

    def embed(self, features: Features, grid: SampleGrid, target_wh: Tensor) -> Tensor:
        """The data matrix X (B, N, D) of all sample RoIs.

        `features`: from `convolve`; `target_wh`: (B, 2) in patch pixels.
        """
        return torch.cat(
            (
                self.block3.embed(features[0], grid, target_wh),
                self.block4.embed(features[1], grid, target_wh),
            ),
            dim=-1,
        )

    def collapse(self, regressor: Tensor) -> RegressorKernel:
        """Pull regressors w (B, D) back to kernels on the pooled features, in float32."""
        parts = regressor.float().chunk(2, dim=1)
        kernels, offset = [], torch.zeros_like(parts[0][:, 0])
        for branch, part in zip((self.block3, self.block4), parts, strict=True):
            kernel = part @ branch.fc.weight.float()
            kernels.append(kernel.view(len(part), -1, branch.bins, branch.bins))
            offset = offset + part @ branch.fc.bias.float()
        return RegressorKernel(kernels[0], kernels[1], offset)

    def score(
        self, features: Features, kernel: RegressorKernel, grid: SampleGrid, target_wh: Tensor
    ) -> Tensor:
        """Scores (B, n, n) of all sample RoIs: `embed(...) @ w`, at a thousandth of its cost."""
        return (
            self.block3.score(features[0], kernel.block3, grid, target_wh)
            + self.block4.score(features[1], kernel.block4, grid, target_wh)
            + kernel.offset[:, None, None]
        )
