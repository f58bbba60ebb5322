"""The grid of sample RoIs in a patch and their Gaussian labels.

The regressor learns from and scores N = n * n RoIs of the target's size whose centres form a
regular grid around the patch centre (paper: n = 31 on a 288 px patch).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dcfst_core.network.backbone import patch_to_feature
from dcfst_core.network.prroi_pool import bin_means


@dataclass(frozen=True)
class SampleGrid:
    """A regular grid of `size` x `size` RoI centres, `spacing` patch pixels apart."""

    size: int
    spacing: float
    patch_size: int

    def centres(self, device: torch.device | str = "cpu") -> Tensor:
        """The centre coordinates (size,) along either axis, in patch pixels."""
        index = torch.arange(self.size, dtype=torch.float32, device=device)
        return (index - (self.size - 1) / 2) * self.spacing + self.patch_size / 2

    def thinned(self, stride: int) -> SampleGrid:
        """A centred grid of the same reach with every `stride`-th RoI along each side."""
        size = (self.size - 1) // stride + 1
        return SampleGrid(size, self.spacing * stride, self.patch_size)

    def rois_xyxy(self, target_wh: Tensor) -> Tensor:
        """All sample RoIs (B, size * size, 4) in patch pixels, rows outermost.

        `target_wh`: (B, 2), the target's width and height in patch pixels.
        """
        centres = self.centres(target_wh.device)
        ys, xs = torch.meshgrid(centres, centres, indexing="ij")
        middle = torch.stack((xs.flatten(), ys.flatten()), dim=-1)
        half = target_wh[:, None] / 2
        return torch.cat((middle - half, middle + half), dim=-1)

    def pooling_weights(
        self, target_wh: Tensor, stride: int, bins: int, cells: int
    ) -> tuple[Tensor, Tensor]:
        """The weights that pool all RoIs of the grid from a feature map of `cells` x `cells`.

        `target_wh`: (B, 2) in patch pixels. Returns weights for the grid's rows and for its
        columns, each (B, size, bins, cells), as `prroi_pool_grid` takes them.
        """
        centres = self.centres(target_wh.device)
        half = target_wh.float()[..., None] / 2  # (B, 2, 1)
        low = patch_to_feature(centres - half, stride)  # (B, 2, size)
        high = patch_to_feature(centres + half, stride)
        weights = bin_means(low, high, bins, cells)
        return weights[:, 1], weights[:, 0]

    def labels(
        self, target_wh: Tensor, output_sigma_factor: float, offset_xy: Tensor | None = None
    ) -> Tensor:
        """Gaussian labels (B, size * size) in [0, 1], as in KCF.

        `target_wh`: (B, 2) in patch pixels; sigma is `output_sigma_factor` * sqrt(w * h).
        `offset_xy`: (B, 2), the target centre's offset from the patch centre; zero if None.
        """
        centres = self.centres(target_wh.device) - self.patch_size / 2
        if offset_xy is None:
            offset_xy = torch.zeros_like(target_wh)
        sigma2 = (output_sigma_factor**2 * target_wh.prod(dim=1))[:, None, None]
        distance2 = (centres - offset_xy[..., None]).square()  # (B, 2, size)
        profile = torch.exp(-distance2 / (2 * sigma2))
        return (profile[:, 1, :, None] * profile[:, 0, None, :]).flatten(1)
