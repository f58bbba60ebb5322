"""Video files and streams, decoded by FFmpeg's libraries (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from dcfst_core.media.containers import coding_name, has_pictures, is_cut_off, reason
from dcfst_core.media.frames import Frame, FrameSource, TimedFrame, VideoError
from dcfst_core.media.limits import MOST_PIXELS
from dcfst_core.media.numbering import FrameNumbers
from dcfst_core.media.orientation import Orientation

# Formats that hold a measured duration; others' is a guess from the bit rate.
_MEASURED_DURATIONS = {"matroska", "webm", "flv"}
# A container may be unreadable for a while and go on behind the damage.
_READ_ERRORS = 20
_OPEN_S, _READ_S = 15.0, 30.0


class _DamageError(Exception):
    """The first sign of damage while several threads decode."""


class Video(FrameSource):
    """A video file, or a stream that FFmpeg can open.

    `address`: what FFmpeg opens. `path`: the file, None for a stream. Raises VideoError with the
    reason where it cannot be opened, holds no video, or is coded in a way this FFmpeg cannot read.
    """

    def __init__(self, address: str, path: Path | None = None, name: str | None = None) -> None:
        super().__init__(name or address)
        self._address, self._path = address, path
        self._told: set[str] = set()
        self._packets_seen = 0
        self._latest_pts: int | None = None
        self._reformatter = VideoReformatter()
        self._orientation: Orientation | None = None
        # Threads that decode several frames at once delay a live picture by as many.
        self._open(threads=path is not None)
        self._describe()

    def close(self) -> None:
        self._container.close()

    def _open(self, threads: bool) -> None:
        live = self._path is None
        try:
            self._container = av.open(
                self._address,
                metadata_errors="replace",
                timeout=(_OPEN_S, _READ_S) if live else None,
                options={"rtsp_transport": "tcp"} if self._address.startswith("rtsp") else {},
            )
        except av.FFmpegError as error:
            raise VideoError(self._cannot_open(error)) from error
        try:
            self._stream = self._video_stream()
        except VideoError:
            self._container.close()
            raise
        self._stream.thread_type = "AUTO" if threads else "SLICE"
        # Pictures may grow in mid-stream: FFmpeg asks before it gives memory to each.
        bounds = {"max_pixels": str(MOST_PIXELS)}
        if self._stream.codec_context.name == "mjpeg":
            # Motion JPEG's decoder else delivers half pictures without a word.
            bounds["err_detect"] = "explode"
        self._stream.codec_context.options = bounds

    def _video_stream(self) -> av.VideoStream:
        videos = [s for s in self._container.streams.video if has_pictures(s)]
        if not videos:
            held = ", ".join(s.type for s in self._container.streams) or "nothing"
            raise VideoError(f"expected a video; {self.name} holds no video stream, only {held}")
        best = self._container.streams.best("video")
        number = next((n for n, s in enumerate(videos) if s is best), 0)
        if len(videos) > 1:
            self._say(f"{self.name} holds {len(videos)} video streams: {number + 1} is read")
        if videos[number].codec_context is None:
            coding = coding_name(self._path) if self._path else None
            raise VideoError(
                f"{self.name} is coded as {coding or 'something unknown'}, which this FFmpeg "
                f"(PyAV {av.__version__}) cannot decode: convert it with a program that can"
            )
        context = videos[number].codec_context
        if context.width * context.height > MOST_PIXELS:
            raise VideoError(
                f"expected frames of at most {MOST_PIXELS} pixels; {self.name} has "
                f"{context.width} x {context.height}"
            )
        return videos[number]

    def _describe(self) -> None:
        """Rate and count, as far as the container tells."""
        stream = self._stream
        self._rate = stream.average_rate or stream.guessed_rate
        self.fps = float(self._rate) if self._rate else None
        entries = stream.index_entries
        self._promised: int = stream.frames
        if stream.frames and len(entries) >= stream.frames:
            # Edit lists hide frames; empty entries repeat the picture before.
            self._promised = sum(1 for e in entries if not e.is_discard and e.size)
        self._duration_s = None
        measured = _MEASURED_DURATIONS & set(self._container.format.name.split(","))
        if measured and self._container.duration and len(self._container.streams) == 1:
            self._duration_s = self._container.duration / av.time_base
        if self._promised:
            self.count = self._promised
        elif self._duration_s and self.fps:
            self.count = max(round(self._duration_s * self.fps), 1)

    def skip(self, frames: int) -> None:
        if not self._promised and self.count is not None and frames >= self.count:
            self.count = None  # it was only reckoned from the duration: reading will tell
        super().skip(frames)

    def _timed(self) -> Iterator[TimedFrame]:
        delivered, last = 0, self.skipped - 1
        numbers = self._numbers()
        try:
            for frame in self._decoded(numbers, last, stop_at_damage=self._path is not None):
                delivered, last = delivered + 1, frame.number
                yield frame
        except _DamageError:
            # Beside the damaged frame other threads held sound ones: read again, one by one.
            self._container.close()
            self._open(threads=False)
            numbers = self._numbers()
            for frame in self._decoded(numbers, last, stop_at_damage=False):
                delivered += 1
                yield frame
        if not delivered and not self.lost and 0 < numbers.next <= self.skipped:
            raise VideoError(self._too_short(numbers.next, self.skipped))
        if not numbers.next and numbers.leading:
            raise VideoError(
                f"expected a key frame in {self.name}; none of its {numbers.leading} pictures can "
                "be shown without one"
            )
        self._conclude(delivered, numbers)

    def _decoded(
        self, numbers: FrameNumbers, after: int, stop_at_damage: bool
    ) -> Iterator[TimedFrame]:
        """The sound frames whose number is above `after`."""
        for packet in self._packets(numbers, stop_at_damage):
            if packet.size:
                numbers.sent(packet, self._is_hidden(packet))
            elif self._stops_early():
                numbers.cut_off()
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                self._damaged(numbers.failed(), stop_at_damage, reason(error))
                continue
            for frame in frames:
                number, lost = numbers.came(frame)
                lost += [number] if frame.is_corrupt else []
                if lost:
                    self._damaged(lost, stop_at_damage)
                if number > after and not frame.is_corrupt:
                    time_s = self._time_s(numbers, frame, number)
                    yield TimedFrame(self._rgb(frame), number, time_s)
        lost = numbers.ended()
        if lost:
            self._damaged(lost, stop_at_damage)

    def _damaged(self, lost: list[int], stop: bool, why: str = "") -> None:
        if stop:
            raise _DamageError
        self._lose(lost, f"damaged ({why})" if why else "damaged")

    def _packets(self, numbers: FrameNumbers, stop_at_damage: bool) -> Iterator[av.Packet]:
        """The stream's packets and, at the end, the empty one that empties the decoder."""
        self._packets_seen, self._latest_pts = 0, None
        for _ in range(_READ_ERRORS):
            try:
                for packet in self._container.demux(self._stream):
                    at_end = packet.pts is None and packet.dts is None
                    if packet.size or at_end:
                        self._packets_seen += bool(packet.size) and not packet.is_discard
                        self._latest_pts = max(self._latest_pts or 0, packet.pts or 0)
                        yield packet
                return
            except av.FFmpegError as error:
                if self._path is None:
                    self.missing = f"{self.name} stopped delivering frames: {reason(error)}"
                    return
                self._say(f"{self.name} cannot be read without gaps: {reason(error)}")
                self._damaged(numbers.failed(), stop_at_damage)

    def _rgb(self, frame: av.VideoFrame) -> Frame:
        # Nothing is scaled; the method matters where colour is stored coarser than brightness.
        rgb: Any = self._reformatter.reformat(
            frame, format="rgb24", interpolation=Interpolation.BICUBIC, threads=1
        ).to_ndarray()
        if self._orientation is None or frame.key_frame:
            self._orientation = Orientation(frame)
            if self._orientation.odd_angle is not None:
                angle = f"{self._orientation.odd_angle:.1f} degrees"
                self._say(f"{self.name} is to be turned by {angle}: it is shown as stored")
        if frame.interlaced_frame:
            self._say(
                f"{self.name} is interlaced: the two fields of each frame are woven into one "
                "picture, so what moves fast has combed edges"
            )
        return np.asarray(self._orientation.upright(rgb), dtype=np.uint8)

    def _time_s(self, numbers: FrameNumbers, frame: av.VideoFrame, number: int) -> float | None:
        unit = frame.time_base or self._stream.time_base
        if frame.pts is not None and numbers.first_pts is not None and unit:
            return float((frame.pts - numbers.first_pts) * unit)
        return number / self.fps if self.fps else None

    def _is_hidden(self, packet: av.Packet) -> bool:
        # VP8 stores pictures that only others refer to; a bit of the first byte tells (RFC 6386).
        vp8 = self._stream.codec_context.name == "vp8"
        return vp8 and not bytes(packet)[0] & 0x10

    def _numbers(self) -> FrameNumbers:
        unit = self._stream.time_base
        return FrameNumbers(float(1 / (unit * self._rate)) if unit and self._rate else None)

    def _conclude(self, delivered: int, numbers: FrameNumbers) -> None:
        """Set `missing` from what was lost and what the file promised."""
        if numbers.leading:
            self._say(
                f"{self.name} begins in the middle of a scene: {numbers.leading} pictures before "
                "its first key frame cannot be shown and are not numbered"
            )
        if self.lost:
            self.missing = self._summary(delivered)
        short = self._shortness(numbers)
        if short:
            lost = f"; {self.missing}" if self.missing else ""
            self.missing = f"{self.name} {short}: the file may be truncated or damaged{lost}"

    def _shortness(self, numbers: FrameNumbers) -> str | None:
        """By what the file is shorter than it says; None for a whole one."""
        promised = self._promised
        if not promised and self._duration_s and self.fps:
            promised = round(self._duration_s * self.fps)
        if numbers.next < promised and self._ends_early(numbers, promised):
            return f"promises {promised} frames but ended after {numbers.next}"
        return f"is cut off after {numbers.next} frames" if self._is_cut_off() else None

    def _ends_early(self, numbers: FrameNumbers, promised: int) -> bool:
        if self._promised:
            # AVI counts the places of repeated pictures too, which hold no packet.
            return self._packets_seen < promised and self._stops_early()
        # Reckoned from the duration, the number means something only at a constant rate.
        tolerance = max(2, promised // 50)
        return self._is_cut_off() or (numbers.steady and numbers.next < promised - tolerance)

    def _stops_early(self) -> bool:
        """Whether the last packet comes before the end that the container gives."""
        unit = self._stream.time_base
        if not unit or not self._rate or self._latest_pts is None:
            return self._packets_seen < self._promised
        end_s = max(float((self._stream.duration or 0) * unit), self._duration_s or 0.0)
        end_s = max(end_s, self._promised / float(self._rate))
        latest_s = float((self._latest_pts - (self._stream.start_time or 0)) * unit)
        return latest_s + 1.5 / float(self._rate) < end_s

    def _is_cut_off(self) -> bool:
        return self._path is not None and is_cut_off(self._path)

    def _say(self, note: str) -> None:
        if note not in self._told:
            self._told.add(note)
            self.notes.append(note)

    def _cannot_open(self, error: av.FFmpegError) -> str:
        if self._path is None:
            return f"cannot open {self.name}: {reason(error)}"
        if not isinstance(error, av.InvalidDataError):
            return f"cannot open {self.name}: {reason(error)}"
        return (
            f"expected a video file; {self.name} ({self._path.stat().st_size} bytes) cannot be "
            "opened as one. It may be another kind of file, or be cut off before its index (an "
            "mp4 whose recording was interrupted)"
        )
