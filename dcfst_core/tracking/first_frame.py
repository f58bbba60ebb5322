"""Augmented copies of the first frame, so that one box teaches more than one appearance (ATOM)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# (flip, rotation in degrees, blur sigma in patch px) of each copy; the first is the frame itself.
_COPIES = (
    (False, 0.0, 0.0),
    (True, 0.0, 0.0),
    (False, 10.0, 0.0),
    (False, -10.0, 0.0),
    (False, 25.0, 0.0),
    (False, -25.0, 0.0),
    (False, 0.0, 2.0),
    (True, 0.0, 3.0),
)


def augment_patch(patch: Tensor) -> Tensor:
    """Copies (K, 3, S, S) of a normalised patch (1, 3, S, S), turned about its centre.

    The target's centre stays at the patch centre, so all copies share one set of labels.
    """
    return torch.cat([_copy(patch, *spec) for spec in _COPIES])


def _copy(patch: Tensor, flip: bool, degrees: float, blur_sigma: float) -> Tensor:
    if flip:
        patch = patch.flip(-1)
    if degrees:
        angle = torch.deg2rad(torch.tensor(degrees))
        cos, sin = float(angle.cos()), float(angle.sin())
        matrix = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]], device=patch.device)
        grid = F.affine_grid(matrix, list(patch.shape), align_corners=False)
        patch = F.grid_sample(patch, grid, padding_mode="reflection", align_corners=False)
    if blur_sigma:
        patch = _blur(patch, blur_sigma)
    return patch


def _blur(patch: Tensor, sigma: float) -> Tensor:
    radius = round(3 * sigma)
    offsets = torch.arange(-radius, radius + 1, dtype=patch.dtype, device=patch.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(patch.shape[1], 1, 1, -1)
    padded = F.pad(patch, (radius,) * 4, mode="replicate")
    across = F.conv2d(padded, kernel, groups=patch.shape[1])
    return F.conv2d(across, kernel.mT, groups=patch.shape[1])
