"""The tracking thread: takes the newest frame, runs the tracker, obeys commands. No ROS in here.

One thread owns the tracker, so nothing of it needs a lock. Callbacks of the node only leave
commands and frames and return at once; results go to a `SessionListener` on the tracking thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from dcfst_core import Tracker, TrackerConfig, TrackState
from dcfst_core.errors import DCFSTError
from dcfst_core.media.image_messages import to_rgb
from dcfst_core.media.video import Frame
from dcfst_ros.frame_buffer import FrameBuffer, NotYetError, StampedFrame, StampError
from dcfst_ros.session_events import FrameResult, InitReport, InitRequest, SessionListener


class TrackingSession:
    """Run one `Tracker` over a `FrameBuffer` on its own thread.

    `catch_up_frames`: most frames tracked from a past init box up to now. `stamp_tolerance_ns`:
    how far an init's stamp may be from a frame's. `max_targets`: more are refused.
    `init_patience_s`: how long an init waits for its image to arrive.
    """

    def __init__(
        self,
        tracker: Tracker,
        buffer: FrameBuffer,
        listener: SessionListener,
        catch_up_frames: int = 10,
        stamp_tolerance_ns: int = 5_000_000,
        max_targets: int = 20,
        init_patience_s: float = 0.5,
    ) -> None:
        self.tracker = tracker
        self.buffer = buffer
        self.catch_up_frames = catch_up_frames
        self.stamp_tolerance_ns = stamp_tolerance_ns
        self.max_targets = max_targets
        self.init_patience_s = init_patience_s
        self.enabled = True
        self.processed = 0
        self.paused_frames = 0
        self.time_next_frame = False
        self.want_idle_frames: Callable[[], bool] = lambda: False
        self._listener = listener
        self._commands: deque[Callable[[], None]] = deque()
        self._early_inits: list[tuple[float, InitRequest]] = []
        self._states: dict[str, TrackState] = {}
        self._class_ids: dict[str, str] = {}
        self._frame_size: tuple[int, int] | None = None
        self._last_stamp_ns = 0
        self._free_ns = 0
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="dcfst_tracking", daemon=True)

    # -- from other threads ----------------------------------------------------------------------

    def start(self) -> None:
        """Start the tracking thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """End the thread after the frame in work; RuntimeError when it does not end in time."""
        self._ending = True
        self.buffer.notify()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                raise RuntimeError(f"the tracking thread did not end within {timeout_s:.0f} s")

    def request_init(self, request: InitRequest) -> None:
        """Start (or replace, or with a zero size release) a target before the next frame."""
        self._submit(lambda: self._start_target(request))

    def request_reset(self) -> int:
        """Release all targets before the next result; returns how many there are now."""
        count = len(self.tracker.target_ids)
        self._submit(self._release_all)
        return count

    def request_config(self, config: TrackerConfig) -> None:
        """Use other settings from the next frame on."""

        def apply() -> None:
            self.tracker.config = config

        self._submit(apply)

    @property
    def states(self) -> dict[str, TrackState]:
        """The state of every target held."""
        return dict(self._states)

    # -- the tracking thread ---------------------------------------------------------------------

    def _submit(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        self.buffer.notify()

    def _run(self) -> None:
        while not self._ending:
            try:
                while self._commands:
                    self._commands.popleft()()
                self._retry_early_inits()
                frame = self.buffer.take_newest()
                if frame is not None:
                    self._take(frame)
            except Exception as error:
                # The thread must outlive any one bad frame; the listener reports it.
                self._listener.on_error(error)
            patience_s = 0.05 if self._early_inits else 1.0
            self.buffer.wait(patience_s, or_when=lambda: self._commands or self._ending)

    def _take(self, frame: StampedFrame) -> None:
        if not self.enabled:
            self.paused_frames += 1
        elif self.tracker.target_ids:
            self._process(frame)
        else:
            rgb = self._convert(frame) if self.want_idle_frames() else None
            self._listener.on_result(FrameResult(frame, rgb, (), {}))

    def _process(self, frame: StampedFrame, only: str | None = None) -> None:
        """Track all targets (or one) in one frame and tell the listener."""
        began_ns = time.monotonic_ns()
        rgb = self._convert(frame)
        if rgb is None or not self._same_size(rgb):
            return
        converted_ns = time.monotonic_ns()
        timed, self.tracker.timer.enabled = self.time_next_frame, self.time_next_frame
        tracks = self.tracker.update_all(rgb, only=None if only is None else (only,))
        ended_ns = time.monotonic_ns()
        if self._reset_pending():  # it came while this frame was in work: the result is stale
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

    def _reset_pending(self) -> bool:
        return self._release_all in self._commands

    def _publish(self, result: FrameResult) -> None:
        self.processed += 1
        self._last_stamp_ns = result.frame.stamp_ns
        for track in result.tracks:
            self._set_state(track.target_id, track.state, track.score)
        self._listener.on_result(result)
        self._free_ns = time.monotonic_ns()

    def _convert(self, frame: StampedFrame) -> Frame | None:
        try:
            return to_rgb(frame.message)
        except DCFSTError as error:
            self._listener.on_warning("image", f"image ignored: {error}")
            return None

    def _same_size(self, rgb: Frame) -> bool:
        """Targets are boxes in pixels: a stream that changes its size makes them meaningless."""
        size = (rgb.shape[1], rgb.shape[0])
        before, self._frame_size = self._frame_size, size
        if before is None or before == size or not self.tracker.target_ids:
            return True
        self._listener.on_warning(
            "size",
            f"the image size changed from {before[0]}x{before[1]} to {size[0]}x{size[1]}: all "
            "targets are released, give new boxes",
        )
        self._release_all()
        return False

    def _retry_early_inits(self) -> None:
        """Try boxes again whose image had not arrived; a small message overtakes a large one."""
        waiting, self._early_inits = self._early_inits, []
        for deadline_s, request in waiting:
            self._start_target(request, deadline_s)

    def _start_target(self, request: InitRequest, deadline_s: float | None = None) -> None:
        """Follow a box from the frame of its stamp on; or refuse, with the reason."""
        if request.box_xywh[2] == 0 and request.box_xywh[3] == 0:
            self._release(request.target_id)
            return
        began_ns = time.monotonic_ns()
        if deadline_s is None:
            deadline_s = time.monotonic() + self.init_patience_s
        others = [held for held in self.tracker.target_ids if held != request.target_id]
        try:
            if len(others) >= self.max_targets:
                raise StampError(f"max_targets = {self.max_targets} targets are held already")
            frames = self.buffer.from_stamp(request.stamp_ns, self.stamp_tolerance_ns)
            rgb = to_rgb(frames[0].message)
            size = (rgb.shape[1], rgb.shape[0])
            if others and size != self._frame_size:
                raise StampError("its image has another size than the stream has now")
            track = self.tracker.init(rgb, request.box_xywh, request.target_id)
        except (DCFSTError, StampError) as error:
            if isinstance(error, NotYetError) and time.monotonic() < deadline_s:
                self._early_inits.append((deadline_s, request))
                return
            self._listener.on_refused(request, str(error))
            return
        self._frame_size = size
        self._class_ids[request.target_id] = request.class_id
        track_ms = (time.monotonic_ns() - began_ns) / 1e6
        class_ids = dict(self._class_ids)
        self._publish(FrameResult(frames[0], rgb, (track,), class_ids, track_ms=track_ms))
        caught_up = self._catch_up(frames, request.target_id, bool(others))
        duration_ms = (time.monotonic_ns() - began_ns) / 1e6
        self._listener.on_init(
            InitReport(request, frames[0], caught_up, len(frames) - 1, duration_ms)
        )

    def _catch_up(self, frames: list[StampedFrame], target_id: str, has_others: bool) -> int:
        """Track the new target from its frame up to where the stream is now."""
        if not has_others:
            self.buffer.mark_taken(frames[0])
        # Frames no other target has seen yet are left to the normal loop, for all at once.
        rest = [f for f in frames[1:] if not has_others or self.buffer.was_taken(f)]
        chosen = evenly_spaced(rest, self.catch_up_frames)
        for done, frame in enumerate(chosen):
            if self._ending or self._reset_pending():
                return done
            if not has_others:
                self.buffer.mark_taken(frame)
            self._process(frame, only=target_id if has_others else None)
        return len(chosen)

    def _release(self, target_id: str) -> None:
        if target_id not in self._states:
            self._listener.on_warning("release", f"no target {target_id!r} to release")
            return
        self.tracker.release(target_id)
        self._class_ids.pop(target_id, None)
        self._set_state(target_id, TrackState.IDLE, 0.0)
        del self._states[target_id]

    def _release_all(self) -> None:
        self._early_inits.clear()
        for target_id in list(self._states):
            self._release(target_id)

    def _set_state(self, target_id: str, state: TrackState, score: float) -> None:
        if self._states.get(target_id) != state:
            self._states[target_id] = state
            self._listener.on_state(target_id, state, score, self._last_stamp_ns)


def evenly_spaced(frames: list[StampedFrame], most: int) -> list[StampedFrame]:
    """At most `most` of the frames, evenly spaced, the last one always among them."""
    if most <= 0:
        return []
    if len(frames) <= most:
        return frames
    return [frames[round((i + 1) * len(frames) / most) - 1] for i in range(most)]
