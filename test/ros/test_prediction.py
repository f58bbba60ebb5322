"""The constant-velocity model behind ~/track_predicted."""

from __future__ import annotations

import pytest

from dcfst_ros.prediction import ConstantVelocity

SECOND = 1_000_000_000


def test_a_uniform_motion_is_continued_exactly() -> None:
    motion = ConstantVelocity()
    for index in range(10):
        stamp = index * SECOND // 10
        motion.observe("a", stamp, (100.0 + 6.0 * index, 50.0 - 3.0 * index, 20.0, 30.0))
    x, y, w, h = motion.predict("a", 9 * SECOND // 10 + SECOND // 5)
    assert (x, y, w, h) == pytest.approx((100 + 54 + 12, 50 - 27 - 6, 20, 30))


def test_it_predicts_nothing_too_old_or_from_the_future_or_forgotten() -> None:
    motion = ConstantVelocity(horizon_s=0.5)
    assert motion.predict("a", 0) is None
    motion.observe("a", SECOND, (0.0, 0.0, 10.0, 10.0))
    assert motion.predict("a", SECOND) == (0.0, 0.0, 10.0, 10.0)
    assert motion.predict("a", 2 * SECOND) is None
    assert motion.predict("a", SECOND // 2) is None
    motion.forget("a")
    assert motion.predict("a", SECOND) is None


def test_a_gap_resets_the_velocity() -> None:
    motion = ConstantVelocity(horizon_s=0.5)
    motion.observe("a", 0, (0.0, 0.0, 10.0, 10.0))
    motion.observe("a", SECOND // 10, (50.0, 0.0, 10.0, 10.0))
    motion.observe("a", 5 * SECOND, (300.0, 0.0, 10.0, 10.0))
    assert motion.predict("a", 5 * SECOND + SECOND // 5) == (300.0, 0.0, 10.0, 10.0)
    motion.observe("a", 4 * SECOND, (10.0, 0.0, 10.0, 10.0))  # a bag that loops
    assert motion.predict("a", 4 * SECOND) == (10.0, 0.0, 10.0, 10.0)
