"""Windows: which peak is the main one."""

from __future__ import annotations

import math

import pytest
import torch
from score_maps import GRID, hill
from torch import Tensor

from dcfst_core.tracking.peaks import Peaks, find_peaks
from dcfst_core.tracking.windows import border_window, course_window

WH = torch.tensor([[40.0, 40.0]])
CPU = torch.device("cpu")


def peaks(scores: Tensor, window: Tensor | None, subgrid: bool = True) -> Peaks:
    return find_peaks(scores, GRID, WH.expand(len(scores), -1), subgrid, window)


def test_the_borders_window_prefers_the_middle_but_the_true_height_is_reported() -> None:
    scores = hill(112.0, 112.0, WH) + hill(0.0, 0.0, WH, 0.9)
    free, windowed = peaks(scores, None), peaks(scores, border_window(31, 0.5, CPU))
    assert (free.centre_xy - 144 - 112).abs().max() < 1
    assert (windowed.centre_xy - 144).abs().max() < 1
    assert float(windowed.score) == pytest.approx(0.9, abs=1e-3)
    assert float(windowed.second_score) == pytest.approx(1.0, abs=1e-3)


def test_the_courses_window_is_the_mixture_that_it_says() -> None:
    window = course_window(GRID, torch.tensor([[144.0, 160.0, 20.0]]), 0.6)
    assert window.shape == (1, 31, 31)
    assert float(window[0, 17, 15]) == pytest.approx(1.0)  # rows are y
    x, y = 144 - 8 * 3, 144 + 8 * 5
    expected = 0.4 + 0.6 * math.exp(-((x - 144) ** 2 + (y - 160) ** 2) / (2 * 20**2))
    assert float(window[0, 20, 12]) == pytest.approx(expected, abs=1e-6)
    assert float(window[0, 0, 0]) == pytest.approx(0.4, abs=1e-3)
    assert torch.equal(
        course_window(GRID, torch.tensor([[0.0, 0.0, 5.0]]), 0.0), torch.ones(1, 31, 31)
    )


def test_who_moves_little_is_where_it_should_be_and_who_leaps_may_be_the_better_match() -> None:
    scores = (hill(0.0, 8.0, WH, 0.7) + hill(48.0, 8.0, WH, 0.8)).expand(2, -1, -1)
    course = torch.tensor([[144.0, 152.0, 15.0], [144.0, 152.0, 100.0]])
    found = peaks(scores, course_window(GRID, course, 0.5)).centre_xy - 144
    assert (found - torch.tensor([[0.0, 8.0], [48.0, 8.0]])).abs().max() < 1


@pytest.mark.parametrize("deviation", [1e-3, 1e30, math.inf])
def test_no_deviation_is_too_small_or_too_great(deviation: float) -> None:
    window = course_window(GRID, torch.tensor([[140.0, 150.0, deviation]]), 0.5)
    assert window.isfinite().all() and float(window.min()) >= 0.5
    assert bool((window == 1).all()) == (deviation > 1)


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
def test_a_window_never_lifts_a_score(strength: float) -> None:
    for window in (
        border_window(31, strength, CPU),
        course_window(GRID, torch.tensor([[144.0, 144.0, 60.0]]), strength),
    ):
        # All scores are negative, those at the border a little more: the best is in the middle.
        middle = torch.full((1, 31, 31), -0.52)
        middle[0, 15, 15] = -0.5
        assert peaks(middle, window, False).centre_xy.tolist() == [[144.0, 144.0]]
        # Equal scores: none at the border is preferred to the middle's.
        level = torch.full((1, 31, 31), -0.5)
        assert (peaks(level, window, False).centre_xy - 144).abs().max() == 0
