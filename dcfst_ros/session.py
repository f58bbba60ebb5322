"""The tracking thread: takes the newest frame, runs the tracker, obeys commands. No ROS in here.

One thread owns the tracker, so nothing of it needs a lock. Callbacks of the node only leave
commands and frames and return at once; results go to a `SessionListener` on the tracking thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from dcfst_core import Tracker, TrackerConfig, TrackState
from dcfst_ros.following import Following
from dcfst_ros.frame_buffer import FrameBuffer, StampedFrame, StampError
from dcfst_ros.image_conversion import Convert, convert_builtin
from dcfst_ros.session_events import (
    FrameResult,
    InitReport,
    InitRequest,
    SessionListener,
    TargetReport,
)
from dcfst_ros.starts import RefusedError, Start, StartQueue, evenly_spaced

# Longest that new targets keep those waiting that run already, beside the start in work.
START_BUDGET_S = 0.2


@dataclass
class SessionOptions:
    """What may change while the session runs.

    `catch_up_frames`: most frames tracked from a past init box up to now. `stamp_tolerance_ns`:
    how far an init's stamp may be from a frame's. `max_targets`: more are refused.
    `init_patience_s`: how long an init waits for its image to arrive. `silence_s`: without an
    image for so long, targets are reported as lost; 0 = never.
    """

    catch_up_frames: int = 10
    stamp_tolerance_ns: int = 5_000_000
    max_targets: int = 20
    init_patience_s: float = 0.5
    silence_s: float = 1.0


class TrackingSession:
    """Run one `Tracker` over a `FrameBuffer` on its own thread; `convert`: message to RGB."""

    def __init__(
        self,
        tracker: Tracker,
        buffer: FrameBuffer,
        listener: SessionListener,
        options: SessionOptions | None = None,
        convert: Convert = convert_builtin,
    ) -> None:
        self.tracker = tracker
        self.buffer = buffer
        self.options = options or SessionOptions()
        self.enabled = True
        self.paused_frames = 0
        self.want_idle_frames: Callable[[], bool] = lambda: False
        self.following = Following(tracker, listener, convert, self._is_stale)
        self._listener = listener
        self._commands: deque[Callable[[], None]] = deque()
        self._starts = StartQueue()
        self._resumed_s = time.monotonic()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="dcfst_tracking", daemon=True)

    # -- from other threads ----------------------------------------------------------------------

    def start(self) -> None:
        """Start the tracking thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> bool:
        """End the thread after the frame in work; whether it ended in time."""
        self._ending = True
        self.buffer.notify()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def request_init(self, request: InitRequest) -> None:
        """Start (or replace, or with a zero size release) a target between two frames.

        The box's image is held from now on, however long its turn takes to come.
        """
        if request.is_release:
            self._submit(lambda: self._release(request))
            return
        if not self.enabled:
            self._refuse(request, "the tracker is paused: call ~/enable with true first")
            return
        try:
            pin = self.buffer.pin(request.stamp_ns, self.options.stamp_tolerance_ns)
        except StampError as error:
            self._refuse(request, str(error))
            return
        start = Start(request, pin, time.monotonic() + self.options.init_patience_s)
        self._submit(lambda: self._queue(start))

    def request_reset(self) -> int:
        """Release all targets before the next result; returns how many there are now."""
        count = len(self.reports)
        self._submit(self._reset)
        return count

    def request_enabled(self, enabled: bool) -> None:
        """Pause, which keeps the targets and says idle of them; or go on."""
        self.enabled = enabled
        self._submit(self._resume if enabled else self._pause)

    def request_config(self, config: TrackerConfig) -> None:
        """Use other settings from the next frame on."""

        def apply() -> None:
            self.tracker.config = config

        self._submit(apply)

    @property
    def reports(self) -> list[TargetReport]:
        """What is known of every target held."""
        return self.following.reports

    @property
    def boxes_waiting(self) -> int:
        """Boxes whose target does not run with the others yet."""
        return len(self._starts)

    # -- the tracking thread ---------------------------------------------------------------------

    def _submit(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        self.buffer.notify()

    def _refuse(self, request: InitRequest, reason: str) -> None:
        self._submit(lambda: self._listener.on_refused(request, reason))

    def _run(self) -> None:
        while not self._ending:
            try:
                while self._commands:
                    self._commands.popleft()()
                self._work()
            except Exception as error:
                # The thread must outlive any one bad frame; the listener reports it.
                self._listener.on_error(error)
            self.buffer.wait(
                0.05 if len(self._starts) or self.reports else 1.0,
                or_when=lambda: self._commands or self._ending or self._starts.has_work,
            )
        try:
            self._refuse_waiting("the node was deactivated")
            self.following.release_all("deactivated")
        except Exception as error:
            self._listener.on_error(error)  # ROS was shut down before: nobody is there to be told

    def _work(self) -> None:
        """The newest frame for the targets that run, then some of the work that starts ask for."""
        while (late := self._starts.next_expired()) is not None:
            self._refuse_expired(late)
        current = self._starts.current
        starting = None if current is None else current.request.target_id
        running = tuple(held for held in self.tracker.target_ids if held != starting)
        # A target that is alone catches up through the frames that nobody else needs.
        if running or current is None or not self.enabled:
            frame = self.buffer.take_newest()
            if frame is not None:
                self._take(frame, running)
        self._note_silence()
        began_s = time.monotonic()
        while self.enabled and not self._commands and not self._ending and self._start_step():
            if self.buffer.has_untaken and time.monotonic() - began_s > START_BUDGET_S:
                return

    def _take(self, frame: StampedFrame, running: tuple[str, ...]) -> None:
        if not self.enabled:
            self.paused_frames += 1
            return
        self._starts.note(frame, self.options.catch_up_frames, self.buffer.max_bytes)
        if running:
            self.following.process(frame, None if self._starts.current is None else running)
        else:
            rgb = self.following.convert(frame) if self.want_idle_frames() else None
            self._listener.on_result(FrameResult(frame, rgb, (), {}))

    def _is_stale(self) -> bool:
        """Whether it was reset or paused while a frame was in work."""
        return self._reset in self._commands or not self.enabled

    def _note_silence(self) -> None:
        """Nobody sees a target in images that do not come, or that cannot be read."""
        limit_s = self.options.silence_s
        if not self.enabled or limit_s <= 0:
            return
        if time.monotonic() - max(self.following.seen_s, self._resumed_s) > limit_s:
            self.following.say(TrackState.LOST, f"no usable image for {limit_s:g} s")

    # -- commands --------------------------------------------------------------------------------

    def _release(self, request: InitRequest) -> None:
        waiting = self._starts.drop(request.target_id)
        if waiting is not None:
            self.buffer.unpin(waiting.pin)
            self._listener.on_refused(waiting.request, "it was released before it was started")
        if not self.following.release(request.target_id, "released") and waiting is None:
            self._listener.on_refused(request, f"no target {request.target_id!r} to release")

    def _reset(self) -> None:
        self._refuse_waiting("the tracker was reset")
        self.following.release_all("reset")

    def _pause(self) -> None:
        self._refuse_waiting("the tracker was paused")
        self.following.say(TrackState.IDLE, "paused")

    def _resume(self) -> None:
        self._resumed_s = time.monotonic()

    # -- starting targets ------------------------------------------------------------------------

    def _queue(self, start: Start) -> None:
        older = self._starts.add(start)
        if older is not None:
            self.buffer.unpin(older.pin)
            self._listener.on_refused(older.request, "a newer box for the same id took its place")

    def _refuse_waiting(self, reason: str) -> None:
        for start in self._starts.drop_all():
            self.buffer.unpin(start.pin)
            self._listener.on_refused(start.request, reason)

    def _refuse_expired(self, start: Start) -> None:
        self.buffer.unpin(start.pin)
        try:
            self.buffer.from_stamp(start.pin.stamp_ns, start.pin.tolerance_ns)
        except StampError as error:
            self._listener.on_refused(start.request, str(error))

    def _start_step(self) -> bool:
        """One start, or one frame of catching up; False when there is nothing to do."""
        start = self._starts.current
        if start is None:
            start = self._starts.next_ready()
            if start is None:
                return False
            self._begin(start)
        elif start.rest:
            frame = start.rest.popleft()
            self.buffer.mark_taken(frame)
            self.following.process(frame, only=(start.request.target_id,))
            start.done += 1
        if self._starts.current is start and not start.rest:
            self._starts.current = None
            assert start.pin.frame is not None
            self._listener.on_init(
                InitReport(
                    start.request,
                    start.pin.frame,
                    start.done,
                    start.waiting_frames,
                    start.duration_ms,
                )
            )
        return True

    def _begin(self, start: Start) -> None:
        """Follow a box from the frame of its stamp on, and choose the frames to catch up with."""
        frame, most = start.pin.frame, self.options.catch_up_frames
        assert frame is not None, "next_ready gives those whose frame is there"
        others = [held for held in self.tracker.target_ids if held != start.request.target_id]
        try:
            self.following.begin(start.request, frame, self.options.max_targets)
        except RefusedError as error:
            self._listener.on_refused(start.request, str(error))
            return
        except Exception as error:
            # Unforeseen, and reported as such; the box gets its answer all the same.
            self._listener.on_refused(start.request, f"{type(error).__name__}: {error}")
            raise
        self._starts.current = start
        if not others:
            self.buffer.mark_taken(frame)
            for later in self.buffer.after(frame):
                start.note(later, most, self.buffer.max_bytes)
        # Frames no other target has seen yet are left to the normal loop, for all at once.
        waiting = [f for f in start.trail if not others or self.buffer.was_taken(f)]
        start.waiting_frames = waiting[-1].sequence - frame.sequence if waiting else 0
        start.rest.extend(evenly_spaced(waiting, most))
