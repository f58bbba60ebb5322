"""How far a target may have gone since it was last seen, and that nothing beyond is taken."""

from __future__ import annotations

import math

import pytest
import torch

from dcfst_core.network.samples import SampleGrid
from dcfst_core.tracking.motion import Motion
from dcfst_core.tracking.peaks import find_peaks

GRID = SampleGrid(31, 8.0, 288)


def moving(dx: float, dy: float, frames: int = 60) -> Motion:
    motion = Motion.start((100.0, 100.0, 30.0, 30.0))
    for k in range(1, frames):
        motion.see((100.0 + k * dx, 100.0 + k * dy, 30.0, 30.0))
    return motion


def test_reach_grows_while_the_target_is_not_seen_and_starts_anew_when_it_is() -> None:
    motion = moving(0.0, 0.0)
    at_once = motion.reach(1.0)
    grown = []
    for _ in range(100):
        motion.miss()
        grown.append(motion.reach(1.0))
    assert at_once < grown[0] and grown == sorted(grown)
    assert 30 < at_once < 45  # its own size and a little
    assert grown[-1] > 4 * 30
    motion.see((500.0, 100.0, 30.0, 30.0))
    assert motion.reach(1.0) == at_once  # a jump while unseen is no speed
    assert (motion.x, motion.y) == (515.0, 115.0)


def test_a_steady_target_gets_farther_than_one_that_goes_to_and_fro() -> None:
    steady, shaking = moving(6.0, 0.0), Motion.start((100.0, 100.0, 30.0, 30.0))
    for k in range(60):
        shaking.see((100.0 + 6.0 * (k % 2), 100.0, 30.0, 30.0))
    assert math.hypot(steady.drift_x, steady.drift_y) == pytest.approx(0.2, abs=0.01)
    for motion in (steady, shaking):
        assert motion.step == pytest.approx(0.2, abs=0.01)
        for _ in range(29):
            motion.miss()
    # It is looked for half-way along its course, and as far again around that.
    true_place = steady.x + 30 * 0.2 * 30
    assert steady.expected()[0] == pytest.approx((steady.x + true_place) / 2, abs=0.5)
    for place in (steady.x, true_place):
        assert abs(place - steady.expected()[0]) < steady.reach(1.0)
    assert abs(shaking.expected()[0] - shaking.x) < 15
    assert shaking.reach(1.0) < 0.9 * steady.reach(1.0)


def test_only_peaks_within_reach_are_taken_and_not_the_slope_of_others() -> None:
    wh = torch.tensor([[57.6, 57.6]])
    known = 0.3 * GRID.labels(wh, 0.25, torch.tensor([[16.0, 8.0]])).view(1, 31, 31)
    other = GRID.labels(wh, 0.25, torch.tensor([[72.0, 0.0]])).view(1, 31, 31)
    scores = known + other
    free = torch.tensor([[144.0, 144.0, math.inf]])
    near = torch.tensor([[144.0, 144.0, 60.0]])
    assert find_peaks(scores, GRID, wh, 0.0, False, free).centre_xy.tolist() == [[216.0, 144.0]]
    peaks = find_peaks(scores, GRID, wh, 0.0, False, near)
    assert peaks.centre_xy.tolist() == [[160.0, 152.0]]
    assert float(peaks.score) == pytest.approx(0.3, abs=0.02)
    both = find_peaks(
        scores.expand(2, -1, -1), GRID, wh.expand(2, -1), 0.0, False, torch.cat((free, near))
    )
    assert both.centre_xy.tolist() == [[216.0, 144.0], [160.0, 152.0]]
