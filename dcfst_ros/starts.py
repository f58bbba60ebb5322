"""Boxes on their way to becoming targets: each holds its frame and what came after it. No ROS."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from dcfst_ros.conversions import BoxXYWH
from dcfst_ros.frame_buffer import Pin, StampedFrame
from dcfst_ros.session_events import InitRequest

SMALLEST_BOX_PX = 2.0


class RefusedError(ValueError):
    """A box that is not followed; the message says why."""


@dataclass
class Start:
    """One box: first waiting for its frame and its turn, then catching up.

    `trail`: frames after its own, through which it may catch up; thinned evenly, never cut short.
    """

    request: InitRequest
    pin: Pin
    deadline_s: float
    began_ns: int = field(default_factory=time.monotonic_ns)
    trail: list[StampedFrame] = field(default_factory=list)
    rest: deque[StampedFrame] = field(default_factory=deque)
    waiting_frames: int = 0
    done: int = 0

    def __post_init__(self) -> None:
        self.trail = list(self.pin.after)

    def note(self, frame: StampedFrame, most: int, max_bytes: float) -> None:
        """Another frame came by while this one waits."""
        last = self.trail[-1] if self.trail else self.pin.frame
        if last is None or frame.sequence <= last.sequence:
            return
        self.trail.append(frame)
        while len(self.trail) > 1 and (
            len(self.trail) > 2 * max(most, 1)
            or sum(kept.size_bytes for kept in self.trail) > max_bytes
        ):
            self.trail = self.trail[1::2] if len(self.trail) % 2 == 0 else self.trail[::2]

    @property
    def duration_ms(self) -> float:
        """Since the box arrived."""
        return (time.monotonic_ns() - self.began_ns) / 1e6


class StartQueue:
    """The boxes that wait, one for each id, and the one that is catching up."""

    def __init__(self) -> None:
        self.current: Start | None = None
        self._waiting: dict[str, Start] = {}

    def __len__(self) -> int:
        return len(self._waiting) + (self.current is not None)

    def add(self, start: Start) -> Start | None:
        """A box waits; returns the one of the same id that it takes the place of."""
        older = self._waiting.pop(start.request.target_id, None)
        self._waiting[start.request.target_id] = start
        return older

    def drop(self, target_id: str) -> Start | None:
        """Forget the box that waits for an id, and stop its catching up."""
        if self.current is not None and self.current.request.target_id == target_id:
            self.current = None
        return self._waiting.pop(target_id, None)

    def drop_all(self) -> list[Start]:
        """Forget all; returns those that had not begun."""
        waiting, self._waiting, self.current = list(self._waiting.values()), {}, None
        return waiting

    def note(self, frame: StampedFrame, most: int, max_bytes: float) -> None:
        """A frame was taken for other targets, or for none."""
        for start in self._waiting.values():
            start.note(frame, most, max_bytes)

    def next_ready(self) -> Start | None:
        """Take out the box that waits longest of those whose frame is there."""
        for target_id, start in self._waiting.items():
            if start.pin.frame is not None:
                return self._waiting.pop(target_id)
        return None

    def next_expired(self) -> Start | None:
        """Take out a box whose frame did not come in time."""
        now_s = time.monotonic()
        for target_id, start in self._waiting.items():
            if start.pin.frame is None and now_s >= start.deadline_s:
                return self._waiting.pop(target_id)
        return None

    @property
    def has_work(self) -> bool:
        """Whether something can be done without waiting."""
        return self.current is not None or any(
            start.pin.frame is not None for start in self._waiting.values()
        )


def check_fits(box_xywh: BoxXYWH, size: tuple[int, int]) -> None:
    """RefusedError for a box that no object of that image (width, height) has."""
    width, height = box_xywh[2:]
    if 0 < min(width, height) < SMALLEST_BOX_PX:
        raise RefusedError(
            f"expected a box of at least {SMALLEST_BOX_PX:g} x {SMALLEST_BOX_PX:g} px, got "
            f"{width:g} x {height:g}: sizes are in pixels, not shares of the image"
        )
    if width > size[0] or height > size[1]:
        raise RefusedError(
            f"expected a box no larger than the {size[0]}x{size[1]} image, got {width:g} x "
            f"{height:g}: was it drawn on another image?"
        )


def check_frame_id(given: str, image: str) -> None:
    """RefusedError for a box that names another camera than the image does."""
    if given and image and given != image:
        raise RefusedError(
            f"its frame_id {given!r} is not the image's {image!r}: it belongs to another camera, "
            "or leave the frame_id empty"
        )


def evenly_spaced(frames: list[StampedFrame], most: int) -> list[StampedFrame]:
    """At most `most` of the frames, evenly spaced by sequence, the last one always among them."""
    if most <= 0:
        return []
    if len(frames) <= most:
        return frames
    first, last = frames[0].sequence - 1, frames[-1].sequence
    wanted = [first + (i + 1) * (last - first) / most for i in range(most)]
    nearest = [min(frames, key=lambda f, at=at: abs(f.sequence - at)) for at in wanted]
    return [f for i, f in enumerate(nearest) if f not in nearest[:i]]
