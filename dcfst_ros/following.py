"""What is done with one frame: start a target, track targets, release them, report. No ROS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from dcfst_core import Tracker, TrackState
from dcfst_core.errors import DCFSTError
from dcfst_core.media.frames import Frame
from dcfst_core.track import Track
from dcfst_ros.frame_buffer import StampedFrame
from dcfst_ros.image_conversion import Convert
from dcfst_ros.session_events import FrameResult, InitRequest, SessionListener, TargetReport
from dcfst_ros.starts import RefusedError, check_fits, check_frame_id


class Following:
    """The tracker with what is known of its targets; belongs to the tracking thread.

    `is_stale`: whether what is worked on is not wanted any more. `convert`: a message to RGB.
    `seen_s`: when targets were last looked for in a usable image, on the steady clock.
    """

    def __init__(
        self,
        tracker: Tracker,
        listener: SessionListener,
        convert: Convert,
        is_stale: Callable[[], bool],
    ) -> None:
        self.tracker = tracker
        self.time_next_frame = False
        self._listener = listener
        self._convert_message = convert
        self._is_stale = is_stale
        self._reports: dict[str, TargetReport] = {}
        self._class_ids: dict[str, str] = {}
        self._frame_size: tuple[int, int] | None = None
        self._free_ns = 0
        self.seen_s = time.monotonic()

    @property
    def reports(self) -> list[TargetReport]:
        """What is known of every target held; may be read on any thread."""
        return list(dict(self._reports).values())

    def begin(self, request: InitRequest, frame: StampedFrame, max_targets: int) -> None:
        """Start (or start anew) a target in a frame; RefusedError with the reason if not."""
        began_ns = time.monotonic_ns()
        others = [held for held in self.tracker.target_ids if held != request.target_id]
        if len(others) >= max_targets:
            raise RefusedError(f"max_targets = {max_targets} targets are held already")
        check_frame_id(request.frame_id, frame.message.header.frame_id)
        try:
            rgb = self._convert_message(frame.message)
            size = (rgb.shape[1], rgb.shape[0])
            if others and size != self._frame_size:
                raise RefusedError("its image has another size than the stream has now")
            check_fits(request.box_xywh, size)
            track = self.tracker.init(rgb, request.box_xywh, request.target_id)
        except DCFSTError as error:
            raise RefusedError(str(error)) from error
        self._frame_size = size
        self._class_ids[request.target_id] = request.class_id
        track_ms = (time.monotonic_ns() - began_ns) / 1e6
        self._publish(FrameResult(frame, rgb, (track,), dict(self._class_ids), track_ms=track_ms))

    def process(self, frame: StampedFrame, only: tuple[str, ...] | None = None) -> None:
        """Track all targets (or some) in one frame and tell the listener."""
        began_ns = time.monotonic_ns()
        rgb = self.convert(frame)
        if rgb is None or not self._same_size(rgb):
            return
        converted_ns = time.monotonic_ns()
        timed, self.tracker.timer.enabled = self.time_next_frame, self.time_next_frame
        tracks = self.tracker.update_all(rgb, only=only)
        ended_ns = time.monotonic_ns()
        for target_id, notes in self.tracker.pop_notes().items():
            self._listener.on_warning("target", f"{target_id}: {'; '.join(notes)}")
        if self._is_stale():
            return
        stages = dict(self.tracker.timer.last_ms) if timed else {}
        if timed:
            self.time_next_frame = False
        self._publish(
            FrameResult(
                frame,
                rgb,
                tuple(tracks.values()),
                dict(self._class_ids),
                busy_ms=max(0, self._free_ns - frame.arrival_ns) / 1e6,
                convert_ms=(converted_ns - began_ns) / 1e6,
                track_ms=(ended_ns - converted_ns) / 1e6,
                stage_ms=stages,
            )
        )

    def convert(self, frame: StampedFrame) -> Frame | None:
        """RGB, or None with a warning for an image that cannot be converted."""
        try:
            return self._convert_message(frame.message)
        except DCFSTError as error:
            self._listener.on_warning("image", f"image ignored: {error}")
            return None

    def release(self, target_id: str, why: str) -> bool:
        """Forget a target and say so; whether it was held."""
        if target_id not in self._reports:
            return False
        self.tracker.release(target_id)
        self._class_ids.pop(target_id, None)
        self._report(replace(self._reports[target_id], state=TrackState.IDLE, reason=why))
        del self._reports[target_id]
        self._listener.on_released(target_id, why)
        return True

    def release_all(self, why: str) -> None:
        """Forget all targets."""
        for target_id in list(self._reports):
            self.release(target_id, why)

    def say(self, state: TrackState, reason: str) -> None:
        """Say of all targets held what is known without a frame: paused, or no image comes."""
        for report in self.reports:
            if report.state is not state:
                self._report(replace(report, state=state, reason=reason))

    def _publish(self, result: FrameResult) -> None:
        for track in result.tracks:
            self._report(self._seen(track, result.frame.stamp_ns))
        self._listener.on_result(result)
        self._free_ns = time.monotonic_ns()
        self.seen_s = time.monotonic()

    def _seen(self, track: Track, stamp_ns: int) -> TargetReport:
        return TargetReport(
            track.target_id,
            track.state,
            track.score,
            track.box_xywh,
            stamp_ns,
            self._class_ids.get(track.target_id, ""),
        )

    def _report(self, report: TargetReport) -> None:
        before = self._reports.get(report.target_id)
        self._reports[report.target_id] = report
        if before is None or before.state != report.state:
            self._listener.on_state(report)

    def _same_size(self, rgb: Frame) -> bool:
        """Targets are boxes in pixels: a stream that changes its size makes them meaningless."""
        size = (rgb.shape[1], rgb.shape[0])
        before, self._frame_size = self._frame_size, size
        if before is None or before == size or not self.tracker.target_ids:
            return True
        text = f"the image size changed from {before[0]}x{before[1]} to {size[0]}x{size[1]}"
        self._listener.on_warning("size", f"{text}: all targets are released, give new boxes")
        self.release_all(text)
        return False
