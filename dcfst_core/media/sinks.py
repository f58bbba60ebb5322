"""Frames to a video file."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dcfst_core.media.frames import Closing, Frame, VideoError, no_pyav

# Container, codec, pixel format and quality for each suffix.
_QUALITY = {"global_quality": str(3 * 118)}  # quantiser 3 in FFmpeg's units (FF_QP2LAMBDA)
FORMATS: dict[str, tuple[str, str, str, dict[str, str]]] = {
    ".mp4": ("mp4", "mpeg4", "yuv420p", _QUALITY),
    ".mov": ("mov", "mpeg4", "yuv420p", _QUALITY),
    ".mkv": ("matroska", "mpeg4", "yuv420p", _QUALITY),
    ".avi": ("avi", "mjpeg", "yuvj420p", _QUALITY),
    ".webm": ("webm", "libvpx", "yuv420p", {"crf": "8", "deadline": "realtime", "cpu-used": "4"}),
}
# What a killed program wrote can be played: every packet is on the disk at once, and MP4 is in
# fragments until it is finished.
_FLUSHED = {"flush_packets": "1"}
_CONTAINER = {
    **{name: {**_FLUSHED, "movflags": "hybrid_fragmented"} for name in ("mp4", "mov")},
    **{name: {**_FLUSHED, "cluster_time_limit": "500"} for name in ("webm", "matroska")},
}
# MPEG-4 counts time in at most this many parts of a second.
_FINEST = 65535
_USUAL_TICKS = 60000
# A clock that steps back further than this was set; less is disorder.
_CLOCK_SET_S = 1.0


class VideoWriter(Closing):
    """Write RGB frames to a video file; the container follows the file name's suffix.

    `.mp4`, `.mov`, `.mkv` (MPEG-4), `.avi` (Motion JPEG), `.webm` (VP8). `fps`: rate of frames
    that are written without a time; `.avi` has one rate for all. The size is the first frame's;
    frames of another size are scaled to it, and a note says so. The file is written under another
    name beside `path` and put in place by `close`, also when the work was interrupted.
    """

    def __init__(self, path: str | Path, fps: float = 30.0) -> None:
        # Here, so that a machine which writes no video needs none of FFmpeg's libraries.
        try:
            import av
            from av.video.reformatter import VideoReformatter
        except ImportError as error:
            raise VideoError(no_pyav(error)) from error
        self._av = av
        self.path = Path(path)
        self.notes: list[str] = []
        if not math.isfinite(fps) or fps <= 0:
            raise VideoError(f"expected a positive number of frames a second; got {fps}")
        self._rate = Fraction(fps).limit_denominator(1001)
        if self.path.suffix.lower() not in FORMATS:
            raise VideoError(
                f"expected a video name ending in {', '.join(FORMATS)}; got {self.path.name}"
            )
        self._part = self.path.with_name(f".{self.path.name}.part")
        self._container: Any = None
        self._stream: Any = None
        self._reformatter = VideoReformatter()
        self._last_tick, self._last_s, self._offset_s = -1, -math.inf, 0.0

    def write(self, frame_rgb: Frame, time_s: float | None = None) -> None:
        """Append one uint8 RGB frame (H, W, 3), `time_s` after any fixed moment.

        Without a time it follows the frame before at `fps`. VideoError when it cannot be written.
        """
        try:
            if self._container is None:
                self._open(frame_rgb.shape[1], frame_rgb.shape[0])
            size = (self._stream.width, self._stream.height)
            if (frame_rgb.shape[1], frame_rgb.shape[0]) != size:
                self._note(f"frames of another size than {size[0]}x{size[1]} are scaled to it")
                frame_rgb = np.asarray(cv2.resize(frame_rgb, size), dtype=np.uint8)
            picture = self._reformatter.reformat(
                self._av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_rgb), format="rgb24"),
                format=self._stream.pix_fmt,
                interpolation="BICUBIC",
                threads=1,
            )
            picture.pts = self._tick(time_s)
            picture.time_base = self._stream.codec_context.time_base
            for packet in self._stream.encode(picture):
                self._container.mux(packet)
        except self._av.FFmpegError as error:
            raise VideoError(f"cannot write to {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Finish the file and put it in place; safe to call twice."""
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            for packet in self._stream.encode():
                container.mux(packet)
            container.close()
            os.replace(self._part, self.path)
        except (self._av.FFmpegError, OSError) as error:
            raise VideoError(f"cannot finish {self.path}: {error.strerror or error}") from error
        finally:
            self._part.unlink(missing_ok=True)

    def _open(self, width: int, height: int) -> None:
        container, codec, pixels, options = FORMATS[self.path.suffix.lower()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._container = self._av.open(
            str(self._part.absolute()),
            "w",
            format=container,
            options=_CONTAINER.get(container, _FLUSHED),
        )
        self._stream = self._container.add_stream(codec, rate=self._rate, options=options)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = pixels
        self._stream.codec_context.qscale = codec != "libvpx"
        if codec == "libvpx":
            self._stream.bit_rate = 20 * width * height
        ticks = self._rate.numerator
        fine = ticks * (_FINEST // ticks) if ticks <= _FINEST else _USUAL_TICKS
        base = 1 / self._rate if container == "avi" else Fraction(1, fine)
        self._stream.codec_context.time_base = self._stream.time_base = base

    def _tick(self, time_s: float | None) -> int:
        """The frame's time in the stream's units, above the one before."""
        interval_s = float(1 / self._rate)
        first = self._last_tick < 0
        if self.path.suffix.lower() == ".avi":
            steady = time_s is None or first or abs(time_s - self._last_s - interval_s) < 0.002
            if not steady:
                self._note(f"AVI has one rate: written at {float(self._rate):g} frames a second")
            self._last_s = time_s if time_s is not None else self._last_s
            self._last_tick += 1
            return self._last_tick
        if first:
            self._offset_s = -(time_s or 0.0)
        if time_s is None:
            time_s = 0.0 if first else self._last_s + interval_s
        if time_s < self._last_s - _CLOCK_SET_S:
            self._offset_s += self._last_s + interval_s - time_s
        self._last_s = time_s
        ticks = round((time_s + self._offset_s) / self._stream.codec_context.time_base)
        self._last_tick = max(ticks, self._last_tick + 1)
        return self._last_tick

    def _note(self, text: str) -> None:
        note = f"{self.path}: {text}"
        if note not in self.notes:
            self.notes.append(note)


def write_image(path: Path, frame_rgb: Frame) -> None:
    """Write an RGB image; the name at once leads to the whole file or to none.

    VideoError when it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, np.ascontiguousarray(frame_rgb[..., ::-1]))
    if not done:
        raise VideoError(f"cannot write an image to {path}")
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data.tobytes())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise VideoError(f"cannot write to {path}: {error.strerror or error}") from error
