"""Score maps as of a regressor that is right."""

from __future__ import annotations

import torch
from torch import Tensor

from dcfst_core.network.samples import SampleGrid

GRID = SampleGrid(31, 8.0, 288)


def hill(dx: float, dy: float, wh: Tensor, height: float = 1.0) -> Tensor:
    """A map (1, 31, 31) with the label of a target so far from the patch's centre."""
    labels = GRID.labels(wh, 0.25, torch.tensor([[dx, dy]]))
    return height * labels.view(1, GRID.size, GRID.size)
