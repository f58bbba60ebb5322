"""How far a target may have gone since it was last seen."""

from __future__ import annotations

import dataclasses
import math

import pytest

from dcfst_core.tracking.motion import Motion


def moving(dx: float, dy: float, frames: int = 60) -> Motion:
    motion = Motion.start((100.0, 100.0, 30.0, 30.0))
    for k in range(1, frames):
        motion = motion.seen((100.0 + k * dx, 100.0 + k * dy, 30.0, 30.0))
    return motion


def missed(motion: Motion, frames: int) -> Motion:
    for _ in range(frames):
        motion = motion.missed()
    return motion


def test_motion_is_a_value() -> None:
    start = Motion.start((100.0, 100.0, 20.0, 45.0))
    assert (start.x, start.y, start.size) == (110.0, 122.5, 30.0)
    start.seen((200.0, 100.0, 30.0, 30.0))
    start.missed()
    assert start == Motion.start((100.0, 100.0, 20.0, 45.0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        start.x = 0.0  # type: ignore[misc]


def test_speeds_are_running_means_in_target_sizes() -> None:
    start = Motion.start((100.0, 100.0, 30.0, 30.0))
    once = start.seen((106.0, 92.0, 30.0, 30.0))
    assert once.drift_x == pytest.approx(0.1 * 6 / 30)
    assert once.drift_y == pytest.approx(-0.1 * 8 / 30)
    assert once.step == pytest.approx(start.step + 0.1 * (10 / 30 - start.step))


def test_reach_grows_while_the_target_is_not_seen_and_starts_anew_when_it_is() -> None:
    motion = moving(0.0, 0.0)
    at_once = motion.reach(1.0)
    grown = [missed(motion, frames).reach(1.0) for frames in range(1, 101)]
    assert at_once < grown[0] and grown == sorted(grown)
    assert 30 < at_once < 45  # its own size and a little
    assert grown[-1] > 4 * 30
    back = missed(motion, 100).seen((500.0, 100.0, 30.0, 30.0))
    assert back.reach(1.0) == at_once  # a jump while unseen is no speed
    assert (back.x, back.y, back.frames_unseen) == (515.0, 115.0, 0)


def test_slack_counts_in_target_sizes() -> None:
    motion = moving(2.0, 1.0)
    assert motion.reach(3.5) - motion.reach(1.0) == pytest.approx(2.5 * 30)


def test_a_steady_target_gets_farther_than_one_that_goes_to_and_fro() -> None:
    steady, shaking = moving(6.0, 0.0), Motion.start((100.0, 100.0, 30.0, 30.0))
    for k in range(60):
        shaking = shaking.seen((100.0 + 6.0 * (k % 2), 100.0, 30.0, 30.0))
    assert math.hypot(steady.drift_x, steady.drift_y) == pytest.approx(0.2, abs=0.01)
    for motion in (steady, shaking):
        assert motion.step == pytest.approx(0.2, abs=0.01)
    steady, shaking = missed(steady, 29), missed(shaking, 29)
    # It is looked for half-way along its course, and as far again around that.
    true_place = steady.x + 30 * 0.2 * 30
    assert steady.expected()[0] == pytest.approx((steady.x + true_place) / 2, abs=0.5)
    for place in (steady.x, true_place):
        assert abs(place - steady.expected()[0]) < steady.reach(1.0)
    assert abs(shaking.expected()[0] - shaking.x) < 15
    assert shaking.reach(1.0) < 0.9 * steady.reach(1.0)


def test_who_is_new_or_fast_may_leap_and_who_stood_may_not() -> None:
    assert Motion.start((100.0, 100.0, 30.0, 30.0)).may_leap()
    assert moving(0.0, 24.0).may_leap()
    assert not moving(0.0, 1.0).may_leap()
    assert missed(moving(0.0, 24.0), 5).may_leap()


def test_far_for_a_slow_target_is_near_for_a_fast_one() -> None:
    assert moving(0.0, 0.0).scale == pytest.approx(30, rel=0.01)
    assert moving(0.0, 30.0).scale == pytest.approx(90, rel=0.01)
    away = moving(0.0, 30.0)
    for _ in range(8):
        away = away.missed()
    assert away.scale == pytest.approx(30 + 3 * 60, rel=0.01)


def test_no_place_is_far_for_a_target_that_may_be_anywhere() -> None:
    anywhere = Motion.anywhere(30.0, 30.0)
    assert 1000.0 / anywhere.scale == 0.0
    assert anywhere.missed().scale == math.inf
    assert anywhere.seen((100.0, 100.0, 30.0, 30.0)).scale == pytest.approx(90)
