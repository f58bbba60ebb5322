"""Rates, latencies and the judgement over them, on a clock that the test turns."""

from __future__ import annotations

import pytest

from dcfst_core.track import TrackState
from dcfst_ros.health import (
    ERROR,
    OK,
    WARN,
    Health,
    Limits,
    RateMeter,
    Situation,
    percentile,
)

IDLE = Situation()
TRACKING = Situation(states={"cup": TrackState.TRACKING})
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
        found, message, values = health.judge(LIMITS, TRACKING)
        assert found == level
        assert values["stamp-to-publish p50 (ms)"] == f"{latency_s * 1e3:.2f}"
        assert values["receive-to-publish p95 (ms)"] == "3.00"
        assert (level == OK) == (message == "tracking")
        assert health.judge(LIMITS, IDLE)[0] == OK


def test_the_nodes_own_time_is_what_neither_tracker_nor_waiting_took() -> None:
    health = Health(clock=Clock())
    health.add_frame(0.060, 50.0, track_ms=30.0, busy_ms=18.0)
    values = health.judge(LIMITS, TRACKING)[2]
    assert values["stamp-to-receive p50 (ms)"] == "10.00"
    assert values["tracker p50 (ms)"] == "30.00"
    assert values["convert and publish p50 (ms)"] == "2.00"


def test_stamps_of_another_clock_are_named_and_not_judged() -> None:
    health = Health(clock=Clock())
    health.add_frame(86_400.0 * 365, 3.0)
    level, _, values = health.judge(LIMITS, TRACKING)
    assert level == OK and "stamp clock" in values


def test_images_without_stamps_have_no_latency() -> None:
    health = Health(clock=Clock())
    health.add_frame(None, 4.0)
    values = health.judge(LIMITS, TRACKING)[2]
    assert "stamp-to-publish p50 (ms)" not in values
    assert values["receive-to-publish p50 (ms)"] == "4.00"


def test_a_low_output_rate_is_a_warning() -> None:
    clock = Clock()
    health = Health(clock=clock)
    for _ in range(3):
        clock.now += 1.0
        health.add_frame(0.01, 1.0)
    level, message, _ = health.judge(LIMITS, TRACKING)
    assert level == WARN and "1.0 frames/s" in message
    assert health.judge(LIMITS, IDLE)[0] == OK


def test_an_error_is_remembered_and_a_fault_holds_until_it_is_gone() -> None:
    clock = Clock()
    health = Health(clock=clock)
    health.add_error("init box for 'cup' refused: too old")
    level, message, values = health.judge(LIMITS, IDLE)
    assert (level, message) == (OK, "waiting for a box")  # the answer is on ~/init_result
    assert (
        values["last error"].startswith("init box") and values["seconds since last error"] == "0"
    )
    health.note_fault("image ignored: bad step")
    for _ in range(3):
        clock.now += 60.0
        level, message, values = health.judge(LIMITS, IDLE)
        assert (level, message) == (WARN, "image ignored: bad step")
    assert values["seconds since last error"] == "180"
    health.note_works()
    assert health.judge(LIMITS, IDLE)[:2] == (OK, "waiting for a box")


def test_level_and_line_follow_the_worst_of_targets_and_inputs() -> None:
    def judge(activity: str = "active", **states: TrackState) -> tuple[int, str]:
        return health.judge(LIMITS, Situation(activity, states))[:2]

    tracking, lost, doubt = TrackState.TRACKING, TrackState.LOST, TrackState.UNCERTAIN
    health = Health(clock=Clock())
    assert judge(cup=tracking) == (OK, "tracking")
    assert judge(cup=tracking, dog=doubt) == (WARN, "uncertain: dog")
    assert judge(cup=lost, dog=doubt, ant=lost) == (ERROR, "lost: ant, cup; uncertain: dog")
    health.silence = "no image on /image: no publishers"
    assert judge() == (WARN, health.silence)
    assert judge(cup=lost) == (ERROR, f"lost: cup; {health.silence}")
    assert judge("paused", cup=TrackState.IDLE)[0] == WARN
    assert judge("inactive") == (OK, "inactive")
    health.fault = "cannot configure: no weights"
    assert judge("unconfigured") == (ERROR, health.fault)


def test_lost_images_are_a_warning_with_the_remedy() -> None:
    clock = Clock()
    health = Health(clock=clock)
    for _ in range(6):
        health.received.tick()
    health.note_lost_images(3)
    level, message, values = health.judge(LIMITS, TRACKING)
    assert level == WARN and "lost 3 of the last 9 images" in message
    assert "fastdds_images.xml" in message and values["images lost by the middleware"] == "3"
    clock.now += 60.0
    assert health.judge(LIMITS, TRACKING)[0] == OK


def test_percentile() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile(list(map(float, range(100))), 0.95) == 95.0
    assert percentile([7.0], 0.95) == 7.0
