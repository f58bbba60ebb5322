"""Peaks of score maps: the main one, where it may lie, and the second one."""

from __future__ import annotations

import math

import pytest
import torch
from score_maps import GRID, hill
from torch import Tensor

from dcfst_core.tracking.peaks import find_peaks

WH = torch.tensor([[57.6, 57.6]])


def circle(x: float, y: float, radius: float) -> Tensor:
    return torch.tensor([[x, y, radius]])


@pytest.mark.parametrize("offset", [(0.0, 0.0), (3.1, -2.7), (40.6, 17.9), (-90.3, 66.6)])
def test_subgrid_peak_of_a_gaussian(offset: tuple[float, float]) -> None:
    peaks = find_peaks(hill(*offset, WH), GRID, WH, subgrid=True)
    found = peaks.centre_xy[0] - 144
    assert (found - torch.tensor(offset)).abs().max() < 0.01
    coarse = find_peaks(hill(*offset, WH), GRID, WH, subgrid=False)
    assert (coarse.centre_xy[0] - 144 - torch.tensor(offset)).abs().max() <= 4.0


@pytest.mark.parametrize("factor", [0.2, 0.25, 0.4])
@pytest.mark.parametrize("height", [1.0, 0.3])
def test_the_vertex_needs_neither_the_width_of_the_hill_nor_its_height(
    factor: float, height: float
) -> None:
    wh, offset = torch.tensor([[36.0, 81.0]]), torch.tensor([[42.7, -24.9]])
    scores = height * GRID.labels(wh, factor, offset).view(1, 31, 31)
    peaks = find_peaks(scores, GRID, wh, True)
    assert (peaks.centre_xy - 144 - offset).abs().max() < 0.01


def test_second_peak_is_the_rival_and_not_the_slope() -> None:
    scores = hill(0.0, 0.0, WH) + hill(80.0, -64.0, WH, 0.6)
    peaks = find_peaks(scores, GRID, WH, True)
    assert float(peaks.score) == pytest.approx(1.0, abs=1e-3)
    assert float(peaks.second_score) == pytest.approx(0.6, abs=1e-3)
    assert peaks.second_xy.tolist() == [[144 + 80.0, 144 - 64.0]]


def test_a_peak_on_the_border_is_not_moved_outwards() -> None:
    scores = torch.zeros(1, 31, 31)
    scores[0, 0, 30] = 1.0
    peaks = find_peaks(scores, GRID, torch.tensor([[20.0, 20.0]]), True)
    assert peaks.centre_xy[0].tolist() == [144 + 120.0, 144 - 120.0]


def test_only_peaks_within_reach_are_taken() -> None:
    scores = hill(16.0, 8.0, WH, 0.3) + hill(72.0, 0.0, WH)
    free, near = circle(144.0, 144.0, math.inf), circle(144.0, 144.0, 60.0)
    assert find_peaks(scores, GRID, WH, False, reach=free).centre_xy.tolist() == [[216.0, 144.0]]
    peaks = find_peaks(scores, GRID, WH, False, reach=near)
    assert peaks.centre_xy.tolist() == [[160.0, 152.0]]
    assert float(peaks.score) == pytest.approx(0.3, abs=0.02)
    both = find_peaks(
        scores.expand(2, -1, -1), GRID, WH.expand(2, -1), False, reach=torch.cat((free, near))
    )
    assert both.centre_xy.tolist() == [[216.0, 144.0], [160.0, 152.0]]


@pytest.mark.parametrize(("radius", "distance"), [(30.0, 40), (60.0, 72)])
def test_the_slope_of_a_peak_outside_is_not_taken(radius: float, distance: int) -> None:
    scores = hill(distance, 0.0, WH)
    assert float(scores[0, 15, 15 + distance // 8 - 2]) > 0.5  # inside of the circle
    peaks = find_peaks(scores, GRID, WH, True, reach=circle(144.0, 144.0, radius))
    assert float(peaks.score) == -math.inf


@pytest.mark.parametrize(
    ("x", "y", "radius"),
    [(140.0, 140.0, 3.0), (600.0, 144.0, 50.0), (144.0, -30.0, 40.0)],
    ids=["between samples", "right of the patch", "above the grid"],
)
def test_a_circle_without_a_sample_finds_nothing(x: float, y: float, radius: float) -> None:
    scores = hill(0.0, 0.0, WH) + 0.1
    both = torch.cat((circle(x, y, radius), circle(144.0, 144.0, math.inf)))
    peaks = find_peaks(scores.expand(2, -1, -1), GRID, WH.expand(2, -1), 0.3, True, both)
    assert peaks.score.tolist() == [-math.inf, pytest.approx(1.1)]
    assert torch.isfinite(peaks.centre_xy).all()
