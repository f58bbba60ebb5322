"""Which frame of a video is this? Numbers that stay true when frames in between are damaged."""

from __future__ import annotations

import heapq

import av

# Intervals of a constant rate differ by what the container's clock rounds.
_STEADY = 0.25


class FrameNumbers:
    """Numbers decoded frames by the times of the packets that went into the decoder.

    Frames come out in order of time. So a packet whose time has passed without a frame was lost,
    whatever the decoder said. Where packets carry no times, frames and errors are counted.
    first_pts, last_pts: times of frame 0 and of the last one in the stream's units. next: number
    of the next frame. leading: packets before the first key frame, which nobody can decode.
    steady: whether the intervals are all alike so far.
    """

    def __init__(self, interval: float | None) -> None:
        """`interval`: expected time between frames in the stream's units, None if not known."""
        self.first_pts: int | None = None
        self.next = 0
        self.leading = 0
        self._interval = interval
        self._waiting: list[int] = []
        self._counts_only = False
        self._seen_key = False
        self._damaged = self._cut_off = False
        self.last_pts: int | None = None
        self._step: int | None = None
        self.steady = True

    def sent(self, packet: av.Packet, hidden: bool) -> None:
        """A packet goes into the decoder; `hidden`: it makes no frame of its own."""
        if packet.is_corrupt:
            self._damaged = True
        self._seen_key |= packet.is_keyframe
        if packet.is_discard or hidden:
            return
        if not self._seen_key:
            self.leading += 1
            return
        if packet.pts is None:
            self._counts_only = True
        else:
            heapq.heappush(self._waiting, packet.pts)

    def failed(self) -> list[int]:
        """The decoder refused a packet; the numbers known to be lost by that."""
        self._damaged = True
        if not self._counts_only or not self._seen_key:
            return []
        self.next += 1
        return [self.next - 1]

    def cut_off(self) -> None:
        """The file ends early: what still comes may refer over frames that are not there."""
        self._damaged = self._cut_off = True

    def came(self, frame: av.VideoFrame) -> tuple[int, list[int]]:
        """The number of a decoded frame, and those lost just before it."""
        lost = 0 if self._counts_only or frame.pts is None else self._passed(frame)
        first, self.next = self.next, self.next + lost + 1
        self._damaged = self._cut_off or bool(frame.is_corrupt)
        return self.next - 1, list(range(first, first + lost))

    def ended(self) -> list[int]:
        """The stream is at its end; the numbers of packets that made no frame."""
        lost = 0 if self._counts_only else len(self._waiting)
        self._waiting = []
        self.next += lost
        return list(range(self.next - lost, self.next))

    def _passed(self, frame: av.VideoFrame) -> int:
        """How many frames should have come before this one."""
        assert frame.pts is not None
        passed: list[int] = []
        while self._waiting and self._waiting[0] < frame.pts:
            passed.append(heapq.heappop(self._waiting))
        if self._waiting and self._waiting[0] == frame.pts:
            heapq.heappop(self._waiting)
        elif passed:
            # The decoder has its own idea of time: nothing can be read from the packets' times.
            self._counts_only = True
            return 0
        if frame.interlaced_frame and self._interval and self.last_pts is not None:
            # The second field of a picture may be a packet of its own.
            near = self.last_pts + 0.75 * self._interval
            passed = [pts for pts in passed if pts > near]
        if self.first_pts is None and not self._damaged:
            self.leading += len(passed)
            passed = []
        if self.first_pts is None:
            self.first_pts = passed[0] if passed else frame.pts
        return max(len(passed), self._gap(frame.pts))

    def _gap(self, pts: int) -> int:
        """Frames that a damaged file lost together with their packets, seen at a constant rate."""
        gap = 0
        if self.last_pts is not None:
            step = pts - self.last_pts
            if self._step is None:
                self._step = step if step > 0 else None
            elif self._damaged and self.steady and step > 0:
                gap = max(round(step / self._step) - 1, 0)
            elif abs(step - self._step) > max(_STEADY * self._step, 1):
                self.steady = False
        self.last_pts = pts
        return gap
