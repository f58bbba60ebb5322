"""Rates, latencies and the judgement over them, on a clock that the test turns."""

from __future__ import annotations

import pytest

from dcfst_ros.health import ERROR, OK, WARN, Health, Limits, RateMeter, percentile

LIMITS = Limits(latency_warn_ms=100.0, latency_error_ms=500.0, output_rate_warn_hz=5.0)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    meter = RateMeter(window_s=2.0, clock=clock)
    for _ in range(40):
        clock.now += 0.1
        meter.tick()
    assert meter.hz() == pytest.approx(10.0, rel=0.06)
    assert meter.total == 40 and meter.silent_s() == pytest.approx(0.0)
    clock.now += 30.0
    assert meter.hz() == 0.0 and meter.silent_s() == pytest.approx(30.0)
    meter.restart()
    assert meter.silent_s() == 0.0


def test_latency_beyond_the_limits_is_a_warning_then_an_error() -> None:
    clock = Clock()
    for latency_s, level in ((0.05, OK), (0.2, WARN), (0.9, ERROR)):
        health = Health(clock=clock)
        for _ in range(20):
            clock.now += 0.1
            health.add_frame(latency_s, 3.0)
        found, message, values = health.judge(LIMITS, tracking=True)
        assert found == level
        assert values["stamp-to-publish p50 (ms)"] == f"{latency_s * 1e3:.2f}"
        assert values["receive-to-publish p95 (ms)"] == "3.00"
        assert (level == OK) == (message == "tracking")
        assert health.judge(LIMITS, tracking=False)[0] == OK


def test_the_nodes_own_time_is_what_neither_tracker_nor_waiting_took() -> None:
    health = Health(clock=Clock())
    health.add_frame(0.060, 50.0, track_ms=30.0, busy_ms=18.0)
    values = health.judge(LIMITS, tracking=True)[2]
    assert values["stamp-to-receive p50 (ms)"] == "10.00"
    assert values["tracker p50 (ms)"] == "30.00"
    assert values["convert and publish p50 (ms)"] == "2.00"


def test_stamps_of_another_clock_are_named_and_not_judged() -> None:
    health = Health(clock=Clock())
    health.add_frame(86_400.0 * 365, 3.0)
    level, _, values = health.judge(LIMITS, tracking=True)
    assert level == OK and "stamp clock" in values


def test_images_without_stamps_have_no_latency() -> None:
    health = Health(clock=Clock())
    health.add_frame(None, 4.0)
    values = health.judge(LIMITS, tracking=True)[2]
    assert "stamp-to-publish p50 (ms)" not in values
    assert values["receive-to-publish p50 (ms)"] == "4.00"


def test_a_low_output_rate_and_a_fresh_error_are_warnings() -> None:
    clock = Clock()
    health = Health(clock=clock)
    for _ in range(3):
        clock.now += 1.0
        health.add_frame(0.01, 1.0)
    level, message, _ = health.judge(LIMITS, tracking=True)
    assert level == WARN and "1.0 frames/s" in message
    health.add_error("image ignored: bad step")
    level, message, values = health.judge(LIMITS, tracking=False)
    assert level == WARN and message == "image ignored: bad step"
    clock.now += 60.0
    level, _, values = health.judge(LIMITS, tracking=False)
    assert level == OK and values["last error"] == "image ignored: bad step"
    assert values["seconds since last error"] == "60"


def test_percentile() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile(list(map(float, range(100))), 0.95) == 95.0
    assert percentile([7.0], 0.95) == 7.0
