"""A target's size through time: the filter's arithmetic by hand, and what it is for."""

from __future__ import annotations

import dataclasses
import math

import pytest

from dcfst_core.tracking.growth import Growth
from dcfst_core.tracking.shape import Shape, measurement_noise


def test_the_gain_is_a_kalman_filters() -> None:
    shape = Shape.start(40, 50)
    # variance 0.0025 + 0.04^2 = 0.0041, noise 0.06^2 = 0.0036: gain 41/77.
    seen = shape.expected(0.04).measured(44, 48, noise=0.06)
    gain = 0.0041 / (0.0041 + 0.0036)
    assert seen.width == pytest.approx(40 * (44 / 40) ** gain)
    assert seen.height == pytest.approx(50 * (48 / 50) ** gain)
    assert seen.variance == pytest.approx((1 - gain) * 0.0041)
    assert (shape.width, shape.variance) == (pytest.approx(40), 0.05**2)  # a value, unchanged


def test_a_measurement_far_off_counts_less() -> None:
    shape = Shape.start(1, 1)
    far = 1.0  # e times as wide: 11.4 deviations off
    seen = shape.expected(0.04).measured(math.exp(far), 1.0, noise=0.06)
    surprise = far / math.sqrt(0.0041 + 0.0036)
    gain = 0.0041 / (0.0041 + 0.0036 * surprise / 2)
    assert seen.log_width == pytest.approx(gain * far)
    assert seen.variance == pytest.approx((1 - gain) * 0.0041)
    plain = 0.0041 / 0.0077
    assert gain < plain / 2


def test_up_to_two_deviations_nothing_is_held_back() -> None:
    deviation = math.sqrt(0.0077)
    gain = 0.0041 / 0.0077
    for sign in (-1, 1):
        move = sign * 1.99 * deviation
        seen = Shape.start(1, 1).expected(0.04).measured(1.0, math.exp(move), noise=0.06)
        assert seen.log_height == pytest.approx(gain * move)


def test_waiting_makes_less_sure_up_to_a_limit() -> None:
    shape = Shape.start(40, 50)
    waited = shape.expected(0.04)
    assert waited.variance == pytest.approx(shape.variance + 0.04**2)
    assert (waited.width, waited.height) == pytest.approx((40, 50))
    for _ in range(1000):
        waited = waited.expected(0.04)
    assert waited.variance == pytest.approx(0.3**2)
    # So the first look at a target that comes back is believed more.
    assert waited.measured(60, 75, 0.06).width > shape.measured(60, 75, 0.06).width


def test_growth_is_believed_as_far_as_it_is_surer_than_growths_are_large() -> None:
    shape = Shape.start(40, 50)
    grown = shape.expected(0.06, Growth(0.1, -0.05, 0.05))
    # 0.1^2 / (0.1^2 + 0.05^2) = 0.8, and what is left of the variance is 0.8 of 0.05^2.
    assert grown.width == pytest.approx(40 * math.exp(0.08))
    assert grown.height == pytest.approx(50 * math.exp(-0.04))
    assert grown.variance == pytest.approx(shape.variance + 0.8 * 0.05**2)
    assert grown.given == shape.given
    doubtful = shape.expected(0.06, Growth(0.1, -0.05, 1e6))
    assert doubtful.width == pytest.approx(40)
    assert doubtful.variance == pytest.approx(shape.expected(0.06).variance)


def test_a_size_whose_growth_is_known_follows_a_measurement_less() -> None:
    unsure, sure = Shape.start(40, 50), Shape.start(40, 50)
    for _ in range(10):
        unsure = unsure.expected(0.06).measured(40, 50, 0.06)
        sure = sure.expected(0.06, Growth(0.0, 0.0, 0.02)).measured(40, 50, 0.06)
    moved = [shape.expected(0.06).measured(44, 50, 0.06).width for shape in (unsure, sure)]
    assert moved[0] > moved[1] > 40


def test_a_real_change_is_followed_within_a_few_frames_and_noise_is_not() -> None:
    growing = Shape.start(40, 50)
    for _ in range(12):
        growing = growing.expected(0.04).measured(56, 50, noise=0.06)
    assert growing.width == pytest.approx(56, rel=0.03)
    steady, sizes = Shape.start(40, 50), []
    for k in range(60):
        steady = steady.expected(0.04).measured(40 * 1.1 ** (-1) ** k, 50, noise=0.12)
        sizes.append(steady.width)
    assert max(sizes[10:]) / min(sizes[10:]) < 1.1  # the measurements: 1.21


def test_an_error_that_feeds_itself_does_not_add_up_and_a_real_change_is_followed() -> None:
    """A predictor that says 3 % too little of what it is given, and one that says the truth."""
    free = held = grown = Shape.start(40, 50)
    for _ in range(500):
        free, held, grown = (shape.expected(0.06) for shape in (free, held, grown))
        free = free.measured(0.97 * free.width, 0.98 * free.height, 0.06)
        held = held.measured(0.97 * held.width, 0.98 * held.height, 0.06, back=0.03)
        grown = grown.measured(120, 75, 0.06, back=0.03)
    assert free.width < 1
    assert held.width > 20 and held.height > 25
    assert held.width / held.height == pytest.approx(40 / 50, rel=0.15)
    assert (grown.width, grown.height) == pytest.approx((120, 75), rel=0.08)


def test_noise_grows_with_spread_and_with_doubt() -> None:
    assert measurement_noise(0.06, 0.08, 1.0) == pytest.approx(0.1)
    assert measurement_noise(0.06, 0.08, 0.5) == pytest.approx(0.2)
    assert measurement_noise(0.06, 0.0, 0.0) == pytest.approx(0.3)  # at most five times


def test_a_shape_cannot_be_written() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Shape.start(4, 5).variance = 1.0  # type: ignore[misc]
