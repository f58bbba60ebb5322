"""By how much a place's score counts when the main peak is chosen: factors in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from dcfst_core.network.samples import SampleGrid


def course_window(grid: SampleGrid, course: Tensor, strength: float) -> Tensor:
    """A window (B, n, n) around where targets should be, as wide as they are wont to move.

    `course`: (B, 3) x, y and standard deviation, patch px. What looks like the target, passes and
    is rather the better match takes it along unless a leap costs something: a step is a usual one,
    normally distributed, or, with a share of 1 - `strength`, any. Not in the paper.
    """
    points = grid.centres(course.device)
    x, y, deviation = course[..., None].unbind(dim=1)  # each (B, 1)
    along_x = torch.exp(-0.5 * ((points - x) / deviation).square())
    along_y = torch.exp(-0.5 * ((points - y) / deviation).square())
    return 1 - strength * (1 - along_y[:, :, None] * along_x[:, None, :])


def border_window(size: int, strength: float, device: torch.device) -> Tensor:
    """A cosine window (1, n, n) in the middle of the region: what trackers since KCF do."""
    # Hann over size + 2 points, without its zero ends, so that the border is lowered, not erased.
    hann = torch.hann_window(size + 2, periodic=False, device=device)[1:-1]
    return (1 + strength * (hann[:, None] * hann - 1))[None]
