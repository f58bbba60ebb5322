"""Ctrl-C takes effect between two items."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from dcfst_core.cli.interrupts import between_items


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_items_pass_and_the_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    assert list(between_items(range(4))) == [0, 1, 2, 3]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("pressed_at", [0, 2, 3])
def test_the_item_in_work_is_finished_first(pressed_at: int) -> None:
    before = signal.getsignal(signal.SIGINT)
    finished = []
    with pytest.raises(KeyboardInterrupt):
        for item in between_items(range(4)):
            if item == pressed_at:
                press_ctrl_c()
            finished.append(item)
    assert finished == list(range(pressed_at + 1))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_press_stops_at_once() -> None:
    finished = []
    with pytest.raises(KeyboardInterrupt):
        for item in between_items(range(4)):
            press_ctrl_c()
            press_ctrl_c()
            finished.append(item)
    assert finished == []


def test_threads_get_the_items_unchanged() -> None:
    items: list[int] = []
    thread = threading.Thread(target=lambda: items.extend(between_items(range(3))))
    thread.start()
    thread.join()
    assert items == [0, 1, 2]
