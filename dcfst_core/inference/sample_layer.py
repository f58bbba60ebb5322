"""A branch's fully connected layer on many sample RoIs, without reordering what is pooled.

The layer was trained on pooled features with their channels outermost; pooling gives them
innermost. So its weights are reordered once, here, and not millions of features in every update.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dcfst_core.network.embedding import EmbeddingBranch
from dcfst_core.network.prroi_pool import prroi_pool_grid
from dcfst_core.network.samples import SampleGrid


class SampleLayer:
    """The data matrix of a branch, as `EmbeddingBranch.embed` gives it.

    `dtype`: of the layer; pooling stays in the features' own.
    """

    def __init__(self, branch: EmbeddingBranch, dtype: torch.dtype) -> None:
        self._branch = branch
        bins = branch.bins
        ordered = branch.fc.weight.detach().unflatten(1, (-1, bins, bins)).permute(0, 2, 3, 1)
        self._weight = ordered.flatten(1).to(dtype).contiguous()
        self._bias = branch.fc.bias.detach().to(dtype)

    def __call__(self, features: Tensor, grid: SampleGrid, target_wh: Tensor) -> Tensor:
        """(B, N, D / 2) in the layer's number format; see `EmbeddingBranch.embed`."""
        weights_y, weights_x = grid.pooling_weights(
            target_wh, self._branch.stride, self._branch.bins, features.shape[-1]
        )
        parts = [features, weights_y, weights_x]
        if features.device.type == "cuda" or len(features) == 1:
            return self._embedded(*parts)
        # What one map's samples take fits a processor's cache, all of them together do not.
        maps = zip(*(part.split(1) for part in parts), strict=True)
        return torch.cat([self._embedded(*each) for each in maps])

    def _embedded(self, features: Tensor, weights_y: Tensor, weights_x: Tensor) -> Tensor:
        pooled = prroi_pool_grid(features, weights_y, weights_x, dtype=self._weight.dtype)
        return F.linear(pooled.permute(0, 1, 3, 4, 2).flatten(2), self._weight, self._bias)
