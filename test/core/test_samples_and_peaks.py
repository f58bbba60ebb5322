"""The sample grid, its labels, and the peaks found on it."""

from __future__ import annotations

import math

import pytest
import torch

from dcfst_core.network.prroi_pool import prroi_pool, prroi_pool_grid
from dcfst_core.network.samples import SampleGrid
from dcfst_core.tracking.peaks import find_peaks

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


@pytest.mark.parametrize("offset", [(0.0, 0.0), (3.1, -2.7), (40.6, 17.9), (-90.3, 66.6)])
def test_subgrid_peak_of_a_gaussian(offset: tuple[float, float]) -> None:
    wh = torch.tensor([[57.6, 57.6]])
    scores = GRID.labels(wh, 0.25, torch.tensor([offset])).view(1, 31, 31)
    peaks = find_peaks(scores, GRID, wh, window_strength=0.0, subgrid=True)
    found = peaks.centre_xy[0] - 144
    assert (found - torch.tensor(offset)).abs().max() < 0.01
    coarse = find_peaks(scores, GRID, wh, window_strength=0.0, subgrid=False)
    assert (coarse.centre_xy[0] - 144 - torch.tensor(offset)).abs().max() <= 4.0


def test_second_peak_is_the_rival_and_not_the_slope() -> None:
    wh = torch.tensor([[57.6, 57.6]])
    labels = GRID.labels(wh, 0.25).view(1, 31, 31)
    rival = GRID.labels(wh, 0.25, torch.tensor([[80.0, -64.0]])).view(1, 31, 31)
    peaks = find_peaks(labels + 0.6 * rival, GRID, wh, 0.0, True)
    assert float(peaks.score) == pytest.approx(1.0, abs=1e-3)
    assert float(peaks.second_score) == pytest.approx(0.6, abs=1e-3)


def test_window_prefers_the_middle_but_reports_the_true_height() -> None:
    wh = torch.tensor([[40.0, 40.0]])
    far = GRID.labels(wh, 0.25, torch.tensor([[112.0, 112.0]])).view(1, 31, 31)
    near = 0.9 * GRID.labels(wh, 0.25).view(1, 31, 31)
    free = find_peaks(far + near, GRID, wh, 0.0, True)
    windowed = find_peaks(far + near, GRID, wh, 0.5, True)
    assert (free.centre_xy - 144 - 112).abs().max() < 1
    assert (windowed.centre_xy - 144).abs().max() < 1
    assert float(windowed.score) == pytest.approx(0.9, abs=1e-3)
    each = find_peaks(
        (far + near).expand(2, -1, -1), GRID, wh.expand(2, -1), torch.tensor([0.0, 0.5]), True
    )
    assert torch.equal(each.centre_xy, torch.cat((free.centre_xy, windowed.centre_xy)))


def test_a_peak_on_the_border_is_not_moved_outwards() -> None:
    scores = torch.zeros(1, 31, 31)
    scores[0, 0, 30] = 1.0
    peaks = find_peaks(scores, GRID, torch.tensor([[20.0, 20.0]]), 0.0, True)
    assert peaks.centre_xy[0].tolist() == [144 + 120.0, 144 - 120.0]
