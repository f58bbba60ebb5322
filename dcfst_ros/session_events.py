"""What goes into the tracking thread and what it tells: requests, results, the listener."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from dcfst_core.media.frames import Frame
from dcfst_core.track import Track, TrackState
from dcfst_ros.conversions import BoxXYWH
from dcfst_ros.frame_buffer import StampedFrame


@dataclass(frozen=True)
class InitRequest:
    """A box from a person or a detector: `stamp_ns` is that of its image, 0 = the newest.

    A box of zero size releases the target. `frame_id`: of the camera it was drawn for; empty =
    whichever this is.
    """

    target_id: str
    box_xywh: BoxXYWH
    stamp_ns: int
    class_id: str = ""
    frame_id: str = ""

    @property
    def is_release(self) -> bool:
        """Whether the target is to be given up."""
        return self.box_xywh[2] == 0 and self.box_xywh[3] == 0


@dataclass(frozen=True)
class TargetReport:
    """What is known of one target now.

    `stamp_ns`: of the image this was seen in. `reason`: why the state is not the tracker's own,
    e.g. "paused". `at_s`: when this became known, on the steady clock.
    """

    target_id: str
    state: TrackState
    score: float = 0.0
    box_xywh: BoxXYWH | None = None
    stamp_ns: int = 0
    class_id: str = ""
    reason: str = ""
    at_s: float = field(default_factory=time.monotonic, compare=False)


@dataclass(frozen=True)
class FrameResult:
    """All targets of one processed frame; `frame_rgb` is None when nothing had to be converted.

    busy_ms: how long the frame waited because the thread worked on the one before.
    """

    frame: StampedFrame
    frame_rgb: Frame | None
    tracks: tuple[Track, ...]
    class_ids: dict[str, str]
    busy_ms: float = 0.0
    convert_ms: float = 0.0
    track_ms: float = 0.0
    stage_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class InitReport:
    """How an init went: the frame it started on, and what catching up to now cost.

    `duration_ms` runs from the box's arrival to the last frame caught up with.
    """

    request: InitRequest
    frame: StampedFrame
    caught_up_frames: int
    waiting_frames: int
    duration_ms: float


class SessionListener(Protocol):
    """What the tracking thread tells; each is called on that thread."""

    def on_result(self, result: FrameResult) -> None: ...
    def on_state(self, report: TargetReport) -> None: ...
    def on_init(self, report: InitReport) -> None: ...
    def on_released(self, target_id: str, why: str) -> None: ...
    def on_refused(self, request: InitRequest, reason: str) -> None: ...
    def on_warning(self, topic: str, message: str) -> None: ...
    def on_error(self, error: Exception) -> None: ...
