"""The sample grid and its labels."""

from __future__ import annotations

import math

import pytest
import torch

from dcfst_core.network.prroi_pool import prroi_pool, prroi_pool_grid
from dcfst_core.network.samples import SampleGrid

GRID = SampleGrid(31, 8.0, 288)


def test_the_middle_roi_is_the_target() -> None:
    rois = GRID.rois_xyxy(torch.tensor([[40.0, 80.0]]))
    assert rois.shape == (1, 961, 4)
    assert rois[0, 480].tolist() == [124.0, 104.0, 164.0, 184.0]
    assert (rois[0, 481] - rois[0, 480]).tolist() == [8.0, 0.0, 8.0, 0.0]  # columns innermost


def test_pooling_weights_pool_the_same_rois() -> None:
    grid = SampleGrid(5, 13.0, 96)
    target_wh = torch.tensor([[20.0, 31.0], [44.0, 12.0]])
    features = torch.randn(2, 3, 12, 12)
    weights = grid.pooling_weights(target_wh, stride=8, bins=4, cells=12)
    general = prroi_pool(features, (grid.rois_xyxy(target_wh) - 0.5) / 8, 4)
    assert (prroi_pool_grid(features, *weights) - general).abs().max() < 1e-4


@pytest.mark.parametrize(("stride", "size"), [(1, 31), (2, 16), (3, 11), (30, 2)])
def test_a_thinned_grid_reaches_as_far_with_fewer_rois(stride: int, size: int) -> None:
    thinned = GRID.thinned(stride)
    assert thinned.size == size
    assert torch.allclose(thinned.centres(), GRID.centres()[::stride])


def test_labels_are_gaussian_around_the_target() -> None:
    wh = torch.tensor([[36.0, 64.0]])
    labels = GRID.labels(wh, 0.25, offset_xy=torch.tensor([[16.0, -8.0]])).view(31, 31)
    assert float(labels[14, 17]) == 1.0
    sigma = 0.25 * math.sqrt(36 * 64)
    assert float(labels[14, 20]) == pytest.approx(math.exp(-(24**2) / (2 * sigma**2)), rel=1e-5)
    assert float(labels[16, 17]) == pytest.approx(math.exp(-(16**2) / (2 * sigma**2)), rel=1e-5)
