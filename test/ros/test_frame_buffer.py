"""The ring of stamped frames: order, stamps, counters, threads."""

from __future__ import annotations

import threading
import time

import pytest

from dcfst_ros.frame_buffer import FrameBuffer, StampError


def filled(*stamps_ns: int, capacity: int = 10) -> FrameBuffer:
    buffer = FrameBuffer(capacity)
    for stamp in stamps_ns:
        buffer.push(f"frame {stamp}", stamp, time.monotonic_ns())
    return buffer


def test_newest_frame_wins_and_skipped_frames_are_counted() -> None:
    buffer = filled(1, 2, 3)
    frame = buffer.take_newest()
    assert frame is not None and frame.message == "frame 3"
    assert buffer.skipped == 2
    assert buffer.take_newest() is None
    buffer.push("frame 4", 4, 0)
    assert buffer.take_newest().message == "frame 4"
    assert buffer.skipped == 2 and buffer.received == 4


def test_capacity_bounds_the_memory() -> None:
    buffer = filled(*range(1, 101), capacity=7)
    assert len(buffer) == 7
    assert [f.stamp_ns for f in buffer.from_stamp(94)] == list(range(94, 101))


def test_from_stamp_gives_the_frame_and_all_after_it() -> None:
    buffer = filled(100, 200, 300, 400)
    assert [f.stamp_ns for f in buffer.from_stamp(200)] == [200, 300, 400]
    assert [f.stamp_ns for f in buffer.from_stamp(0)] == [400]
    assert [f.stamp_ns for f in buffer.from_stamp(203, tolerance_ns=5)] == [200, 300, 400]


@pytest.mark.parametrize(
    ("stamp", "reason"),
    [(50, "too old"), (500, "in the future"), (250, "no frame has its stamp")],
)
def test_a_stamp_that_is_not_held_is_refused_with_the_reason(stamp: int, reason: str) -> None:
    with pytest.raises(StampError, match=reason):
        filled(100, 200, 300).from_stamp(stamp, tolerance_ns=5)


def test_an_empty_buffer_refuses_with_the_reason() -> None:
    with pytest.raises(StampError, match="no image has been received"):
        FrameBuffer().from_stamp(0)


def test_stamps_that_go_backwards_start_a_new_time_line() -> None:
    buffer = filled(100, 200, 300)
    assert buffer.push("again", 100, 0) is True
    assert buffer.restarts == 1 and len(buffer) == 1
    assert buffer.take_newest().message == "again"
    assert buffer.skipped == 3  # the three that were never taken
    with pytest.raises(StampError):
        buffer.from_stamp(300)


def test_zero_stamps_are_kept_in_order_of_arrival() -> None:
    buffer = filled(0, 0, 0)
    assert len(buffer) == 3 and buffer.restarts == 0
    assert buffer.take_newest().sequence == 2


def test_mark_taken_counts_what_it_passes_over() -> None:
    buffer = filled(1, 2, 3, 4)
    third = buffer.from_stamp(3)[0]
    buffer.mark_taken(third)
    assert buffer.skipped == 2 and buffer.was_taken(third)
    assert buffer.take_newest().stamp_ns == 4
    assert buffer.skipped == 2


def test_wait_wakes_on_a_push_and_on_a_command() -> None:
    buffer, commands = FrameBuffer(), []
    woken = threading.Event()

    def sleeper() -> None:
        buffer.wait(10.0, or_when=lambda: commands)
        woken.set()

    for wake in (lambda: buffer.push("x", 1, 0), lambda: (commands.append(1), buffer.notify())):
        woken.clear()
        buffer.take_newest()
        thread = threading.Thread(target=sleeper)
        thread.start()
        wake()
        assert woken.wait(5.0)
        thread.join()


def test_many_threads_lose_no_frame_unaccounted() -> None:
    buffer, taken = FrameBuffer(5), []

    def produce() -> None:
        for stamp in range(1, 2001):
            buffer.push(stamp, stamp, 0)

    producer = threading.Thread(target=produce)
    producer.start()
    while producer.is_alive():
        if (frame := buffer.take_newest()) is not None:
            taken.append(frame.sequence)
    if (frame := buffer.take_newest()) is not None:
        taken.append(frame.sequence)
    assert taken == sorted(set(taken))
    assert len(taken) + buffer.skipped == buffer.received == 2000


def test_a_capacity_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        FrameBuffer(0)
