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


def test_the_place_of_who_stood_is_known_best() -> None:
    new, stood = Motion.start((100.0, 100.0, 30.0, 30.0)), moving(0.0, 0.0)
    assert 0.25 * 30 < stood.spread < 0.3 * 30
    assert stood.spread < moving(6.0, 0.0).spread < new.spread == (0.25 + 2) * 30
    away = [missed(stood, frames).spread for frames in (1, 4, 50)]
    assert stood.spread < away[0] and away == sorted(away)
    assert math.isfinite(Motion.anywhere(640.0, 480.0).spread)


def test_no_place_is_far_for_a_target_that_may_be_anywhere() -> None:
    anywhere = Motion.anywhere(30.0, 30.0)
    assert 1000.0 / anywhere.scale == 0.0
    assert anywhere.missed().scale == math.inf
    assert anywhere.seen((100.0, 100.0, 30.0, 30.0)).scale == pytest.approx(90)


def filmed(share: float, shifts: list[float], own: float = 0.0) -> Motion:
    """A target of 30 px that moves with this share of the camera's steps, and by `own` sizes."""
    motion, x = Motion.start((100.0, 100.0, 30.0, 30.0)), 100.0
    for shift in shifts:
        motion = motion.carried((shift, 0.0))
        x += share * shift + own * 30
        motion = motion.seen((x, 100.0, 30.0, 30.0))
    return motion


SHAKE = [24.0, -33.0, 12.0, -3.0, 27.0, -30.0] * 4


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_it_is_learned_with_what_share_of_the_camera_a_target_moves(share: float) -> None:
    motion = filmed(share, SHAKE)
    assert motion.share == pytest.approx(share, abs=0.03)
    x, y = motion.carried((60.0, -20.0)).expected()
    drift = motion.drift_x * motion.size / 2
    assert (x - motion.x - drift, y) == pytest.approx((share * 60, 115 - share * 20), abs=2.0)


def test_the_cameras_steps_are_not_the_targets() -> None:
    still, held, walking = filmed(1.0, SHAKE), filmed(0.0, SHAKE), filmed(1.0, SHAKE, own=0.2)
    assert still.step == pytest.approx(held.step, abs=0.02) and still.step < 0.15
    assert walking.drift_x == pytest.approx(0.2, abs=0.06)
    assert still.camera_step == pytest.approx(0.7, abs=0.2)


def test_where_the_camera_does_not_move_nothing_is_learned_of_it() -> None:
    assert filmed(1.0, [0.0] * 30, own=0.1).share == Motion.start((0.0, 0.0, 9.0, 9.0)).share


def test_an_unseen_target_goes_on_with_the_camera() -> None:
    motion = missed(filmed(1.0, SHAKE), 1).carried((30.0, 0.0)).missed().carried((15.0, 6.0))
    before = filmed(1.0, SHAKE)
    x, y = motion.expected()
    drift = 3 * before.drift_x * before.size / 2
    assert (x - before.x - drift, y - before.y) == pytest.approx((45.0, 6.0), abs=1.5)
    back = motion.seen((170.0, 100.0, 30.0, 30.0))
    assert (back.camera_x, back.camera_y, back.step) == (0.0, 0.0, before.step)


def test_unknown_steps_of_a_camera_that_moves_widen_the_reach_and_teach_nothing() -> None:
    shaken, steady = filmed(1.0, SHAKE), filmed(1.0, [0.0] * 24)
    for motion in (shaken, steady):
        assert motion.carried((0.0, 0.0)).reach(1.0) == motion.reach(1.0)
    once, twice = shaken.carried(None), shaken.carried(None).carried(None)
    assert shaken.reach(1.0) + 5 < once.reach(1.0) < twice.reach(1.0)
    assert shaken.scale < once.scale < twice.scale
    assert once.may_leap() and not shaken.may_leap()
    assert steady.carried(None).reach(1.0) == steady.reach(1.0)
    assert once.seen((150.0, 100.0, 30.0, 30.0)).step == shaken.step
    assert once.seen((150.0, 100.0, 30.0, 30.0)).reach(1.0) == shaken.reach(1.0)


def test_where_the_camera_moved_unseen_the_target_may_be_where_it_was() -> None:
    """If the step that is not known may have undone those that are."""
    shaken = filmed(1.0, SHAKE)
    here = shaken.missed().carried((45.0, 0.0))
    back = (shaken.x, shaken.y)
    assert here.away(*back) > 30
    assert here.carried(None).away(*back) < 5
    far = here.carried((150.0, 0.0)).carried(None)
    assert 150 < far.away(*back)
    assert far.away(*far.expected()) == 0.0
