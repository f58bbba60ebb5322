"""A bounded, thread-safe ring of stamped frames: the newest to track, older ones for late boxes.

Pure Python, no ROS. A camera callback pushes, one worker takes; nobody waits for a full queue.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StampedFrame:
    """One received image; `sequence` counts receptions, `stamp_ns` is the header's."""

    sequence: int
    stamp_ns: int
    arrival_ns: int
    message: Any

    @property
    def size_bytes(self) -> int:
        """What its pixels occupy."""
        return len(getattr(self.message, "data", b""))


class StampError(ValueError):
    """No frame of the wanted stamp is held; the message says why and what is held."""


class NotYetError(StampError):
    """The wanted frame may still be on its way: none came yet, or its stamp is newer than all."""


@dataclass
class Pin:
    """A frame that a late box holds on to, so that it cannot fall out of the buffer.

    `frame`: None until it arrives. `after`: what had come after it when it was pinned.
    """

    stamp_ns: int
    tolerance_ns: int = 0
    frame: StampedFrame | None = None
    after: tuple[StampedFrame, ...] = ()


class FrameBuffer:
    """Keep the last `capacity` frames and count those the worker never took.

    `max_bytes`: fewer are kept where their data is larger than that, but always the newest.
    A stamp lower than the one before (a bag that loops, a camera that restarts) empties the
    buffer, because frames of the old time line can no longer be told from those of the new one.
    Zero stamps (drivers that do not stamp) are kept: they are in order of arrival.
    """

    def __init__(self, capacity: int = 60, max_bytes: float = math.inf) -> None:
        if capacity < 1:
            raise ValueError(f"expected a capacity of at least 1 frame, got {capacity}")
        self.capacity = capacity
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self.received = 0
        self.skipped = 0
        self.restarts = 0
        self._frames: deque[StampedFrame] = deque()
        self._awaited: list[Pin] = []
        self._taken = -1
        self._changed = threading.Condition()

    def push(self, message: Any, stamp_ns: int, arrival_ns: int) -> bool:
        """Store a frame and wake the worker; True when its stamp went backwards."""
        with self._changed:
            backwards = bool(self._frames) and stamp_ns < self._frames[-1].stamp_ns
            if backwards:
                self.restarts += 1
                self._forget()
            frame = StampedFrame(self.received, stamp_ns, arrival_ns, message)
            self._frames.append(frame)
            self.received += 1
            self.held_bytes += frame.size_bytes
            while len(self._frames) > self.capacity or (
                self.held_bytes > self.max_bytes and len(self._frames) > 1
            ):
                self.held_bytes -= self._frames.popleft().size_bytes
            self._fill_pins(frame)
            self._changed.notify_all()
            return backwards

    def newest(self) -> StampedFrame | None:
        """The last frame, taken or not; None when empty."""
        with self._changed:
            return self._frames[-1] if self._frames else None

    def pin(self, stamp_ns: int, tolerance_ns: int = 0) -> Pin:
        """Hold on to the frame of a stamp, or to the one that will have it when it arrives.

        Raises StampError, as `from_stamp` does, where it cannot arrive any more.
        """
        with self._changed:
            try:
                first, *after = self._find(stamp_ns, tolerance_ns)
            except NotYetError:
                pin = Pin(stamp_ns, tolerance_ns)
                self._awaited.append(pin)
                return pin
            return Pin(stamp_ns, tolerance_ns, first, tuple(after))

    def unpin(self, pin: Pin) -> None:
        """Wait for a pin's frame no longer."""
        with self._changed:
            self._awaited = [other for other in self._awaited if other is not pin]

    def take_newest(self) -> StampedFrame | None:
        """The last frame if it was not taken yet; frames passed over are counted as skipped."""
        with self._changed:
            if not self._untaken():
                return None
            frame = self._frames[-1]
            self.skipped += frame.sequence - self._taken - 1
            self._taken = frame.sequence
            return frame

    def mark_taken(self, frame: StampedFrame) -> None:
        """Tell that a frame was processed by another way than take_newest (a late box)."""
        with self._changed:
            if frame.sequence > self._taken:
                self.skipped += frame.sequence - self._taken - 1
                self._taken = frame.sequence

    def from_stamp(self, stamp_ns: int, tolerance_ns: int = 0) -> list[StampedFrame]:
        """The frame of that stamp and all after it, oldest first; stamp 0 means the newest alone.

        Without an equal stamp the nearest within `tolerance_ns` is taken. Raises StampError when
        the stamp is older or newer than what is held, or lies between frames.
        """
        with self._changed:
            return self._find(stamp_ns, tolerance_ns)

    def after(self, frame: StampedFrame) -> list[StampedFrame]:
        """The frames held that came after one, oldest first."""
        with self._changed:
            return [held for held in self._frames if held.sequence > frame.sequence]

    def _find(self, stamp_ns: int, tolerance_ns: int) -> list[StampedFrame]:
        frames = list(self._frames)
        if not frames:
            raise NotYetError("no image has been received yet")
        if stamp_ns == 0:
            return frames[-1:]
        index = min(range(len(frames)), key=lambda i: abs(frames[i].stamp_ns - stamp_ns))
        distance = abs(frames[index].stamp_ns - stamp_ns)
        if distance <= tolerance_ns:
            return frames[index:]
        wanted, first, last = (
            f"{t / 1e9:.3f} s" for t in (stamp_ns, frames[0].stamp_ns, frames[-1].stamp_ns)
        )
        held = f"the buffer holds {len(frames)} frames from {first} to {last}"
        if stamp_ns < frames[0].stamp_ns:
            raise StampError(f"its stamp {wanted} is too old: {held}")
        if stamp_ns > frames[-1].stamp_ns:
            raise NotYetError(f"its stamp {wanted} lies in the future: {held}")
        raise StampError(f"no frame has its stamp {wanted}: {held}")

    def wait(self, timeout_s: float, or_when: Callable[[], object]) -> None:
        """Sleep until a frame is untaken or `or_when()` holds after `notify`, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._untaken() or or_when(), timeout_s)

    def notify(self) -> None:
        """Wake the worker without a frame (a command waits for it, or it should end)."""
        with self._changed:
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget all frames; the counters stay."""
        with self._changed:
            self._forget()

    def __len__(self) -> int:
        with self._changed:
            return len(self._frames)

    def was_taken(self, frame: StampedFrame) -> bool:
        """Whether the worker is at this frame or past it."""
        with self._changed:
            return frame.sequence <= self._taken

    @property
    def has_untaken(self) -> bool:
        """Whether a frame waits to be taken."""
        with self._changed:
            return self._untaken()

    def _fill_pins(self, frame: StampedFrame) -> None:
        for pin in self._awaited:
            if pin.stamp_ns in (0, frame.stamp_ns) or (
                abs(pin.stamp_ns - frame.stamp_ns) <= pin.tolerance_ns
            ):
                pin.frame = frame
        self._awaited = [pin for pin in self._awaited if pin.frame is None]

    def _forget(self) -> None:
        self._count_untaken()
        self._frames.clear()
        self.held_bytes = 0

    def _untaken(self) -> bool:
        return bool(self._frames) and self._frames[-1].sequence > self._taken

    def _count_untaken(self) -> None:
        if self._untaken():
            self.skipped += self._frames[-1].sequence - self._taken
            self._taken = self._frames[-1].sequence
