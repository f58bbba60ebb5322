"""Ctrl-C between two frames rather than within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TypeVar

Item = TypeVar("Item")


def between_items(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items; Ctrl-C raises KeyboardInterrupt before the next one, a second one at once.

    A frame's row in the table, its picture in the video and its message in the bag are so
    written all or not at all. Outside the main thread, where Python delivers no signals, the
    items pass unchanged.
    """
    if threading.current_thread() is not threading.main_thread():
        yield from items
        return
    asked = False

    def ask(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    previous = signal.signal(signal.SIGINT, ask)
    try:
        for item in items:
            if asked:
                raise KeyboardInterrupt
            yield item
        if asked:
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, previous)
