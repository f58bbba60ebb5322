"""Frames in and out: a video file, a folder of images, a camera or stream -> uint8 RGB frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dcfst_core.errors import DCFSTError, FrameError

if TYPE_CHECKING:
    from typing_extensions import Self

Frame = NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm"}
)
CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
# A container's frame count is often computed from its duration and off by a frame or two.
COUNT_TOLERANCE = 2


class VideoError(DCFSTError, ValueError):
    """A video, image folder or camera that cannot be opened or written."""


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key that puts `frame2` before `frame10`."""
    parts = re.split(r"(\d+)", name)
    return [(1, int(p), "") if p.isdigit() else (0, 0, p.lower()) for p in parts]


def read_image(path: str | Path) -> Frame:
    """Read an image file as RGB (H, W, 3) uint8; a grey image gets three equal channels.

    FrameError where the file is missing, is no image, or has more than 8 bits a channel: scaling
    16-bit data is a choice (fixed, per image, by sensor range) that only its owner can make.
    """
    path = Path(path)
    if not path.is_file():
        raise FrameError(f"expected an image file at {path}; there is none")
    # imdecode, because imread cannot open non-ASCII paths on Windows and says nothing on failure.
    data = np.fromfile(path, dtype=np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) if len(data) else None
    if image is None:
        raise FrameError(f"expected an image; {path} ({len(data)} bytes) cannot be decoded as one")
    if image.dtype != np.uint8:
        raise FrameError(
            f"expected an 8-bit image; {path} holds {image.dtype} values: scale it to 0-255 first"
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


class Closing:
    """A context manager that closes itself at the end."""

    def close(self) -> None:
        """Let go of the file or camera; safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class FrameSource(Closing):
    """An iterable of uint8 RGB frames (H, W, 3) that is also a context manager.

    count: number of frames to come, or None for a camera. skipped: number passed over. fps: frames
    a second, or None where the source does not say. truncated: after iteration, why fewer frames
    came than promised; None otherwise.
    """

    name: str
    count: int | None = None
    skipped: int = 0
    fps: float | None = None
    truncated: str | None = None

    def __iter__(self) -> Iterator[Frame]:
        raise NotImplementedError

    def skip(self, frames: int) -> None:
        """Pass over the first frames; VideoError when the source is shorter than that."""
        if self.count is not None and frames >= self.count:
            raise VideoError(
                f"expected a start frame below {self.count}, the length of {self.name}; "
                f"got {frames}"
            )
        self._skip(frames)
        self.skipped += frames
        if self.count is not None:
            self.count -= frames

    def _skip(self, frames: int) -> None:
        raise NotImplementedError


class ImageFolder(FrameSource):
    """The images of a folder in natural order; files that are no images by name are ignored."""

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
        self.paths = sorted(found, key=lambda p: natural_key(p.name))
        if not self.paths:
            raise VideoError(
                f"expected images ({', '.join(sorted(IMAGE_SUFFIXES))}) in {folder}; found none"
            )
        self.count = len(self.paths)

    def __iter__(self) -> Iterator[Frame]:
        return (read_image(path) for path in self.paths)

    def _skip(self, frames: int) -> None:
        self.paths = self.paths[frames:]


class Video(FrameSource):
    """A video file, stream address or camera read through OpenCV."""

    def __init__(self, source: str | int, live: bool) -> None:
        self.name = f"camera {source}" if isinstance(source, int) else source
        self.live = live
        self.capture = cv2.VideoCapture(source)
        if not self.capture.isOpened():
            raise VideoError(self._cannot_open())
        count = int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.count = count if count > 0 and not live else None
        fps = float(self.capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps if 0 < fps < 1000 else None

    def __iter__(self) -> Iterator[Frame]:
        done = 0
        while True:
            ok, image = self.capture.read()
            if not ok or image is None:
                break
            done += 1
            yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        if self.count is not None and done < self.count - COUNT_TOLERANCE:
            self.truncated = (
                f"{self.name} promises {self.skipped + self.count} frames but ended after "
                f"{self.skipped + done}: "
                "the file may be truncated or damaged"
            )
        elif self.live:
            self.truncated = f"{self.name} stopped delivering frames after {done}"
        if done == 0:
            raise VideoError(f"expected frames from {self.name}; it opened but delivered none")

    def _skip(self, frames: int) -> None:
        # Reading is exact; seeking lands on key frames with some codecs.
        for index in range(frames):
            if not self.capture.grab():
                raise VideoError(
                    f"expected more than {frames} frames from {self.name}; it ended after {index}"
                )

    def close(self) -> None:
        self.capture.release()

    def _cannot_open(self) -> str:
        if self.live:
            return (
                f"cannot open {self.name}: is it connected, free, and may this user read it "
                "(group `video` for /dev/video*)?"
            )
        size = Path(self.name).stat().st_size
        return (
            f"expected a video file; {self.name} ({size} bytes) cannot be opened as one. It may "
            "be another kind of file, use a codec this OpenCV lacks, or be cut off before its "
            "index (an mp4 whose recording was interrupted)"
        )


def open_frames(source: str | Path | int) -> FrameSource:
    """Open a video file, an image folder, a camera index (`0`) or a stream address (`rtsp://…`).

    VideoError says what was expected and what is there.
    """
    text = str(source)
    if text.isdigit() and not Path(text).exists():
        return Video(int(text), live=True)
    if re.match(r"[a-z][a-z0-9+]*://", text, re.IGNORECASE):
        return Video(text, live=True)
    path = Path(text)
    if path.is_dir():
        return ImageFolder(path)
    if not path.is_file():
        raise VideoError(
            f"expected a video file, an image folder, a camera index or a stream address; "
            f"there is nothing at {path.absolute()}"
        )
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise VideoError(f"expected a video or a folder of images; {path} is a single image")
    return Video(text, live=False)


class VideoWriter(Closing):
    """Write RGB frames to a video file; the container follows the file name's suffix.

    `.mp4`, `.mov`, `.mkv` (MPEG-4), `.avi` (Motion JPEG), `.webm` (VP8). The size is the first
    frame's; frames of another size are scaled to it. `close` finishes the file, so what was
    written before an interruption plays.
    """

    def __init__(self, path: str | Path, fps: float = 30.0) -> None:
        self.path = Path(path)
        self.fps = fps
        self._writer: Any = None
        self._size = (0, 0)
        if self.path.suffix.lower() not in CODECS:
            raise VideoError(
                f"expected a video name ending in {', '.join(CODECS)}; got {self.path.name}"
            )

    def write(self, frame_rgb: Frame) -> None:
        """Append one uint8 RGB frame (H, W, 3); VideoError when the file cannot be written."""
        if self._writer is None:
            self._open(frame_rgb.shape[1], frame_rgb.shape[0])
        if (frame_rgb.shape[1], frame_rgb.shape[0]) != self._size:
            frame_rgb = np.asarray(cv2.resize(frame_rgb, self._size), dtype=np.uint8)
        self._writer.write(cv2.cvtColor(frame_rgb, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file; safe to call twice."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def _open(self, width: int, height: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        code = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
        self._writer = cv2.VideoWriter(str(self.path), code, self.fps, (width, height))
        self._size = (width, height)
        if not self._writer.isOpened():
            self._writer = None
            raise VideoError(f"cannot write a {width}x{height} video to {self.path}")
