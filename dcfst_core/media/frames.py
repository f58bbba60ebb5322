"""What all sources of frames have in common: a frame's pixels, number and time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from dcfst_core.errors import DCFSTError, FrameError
from dcfst_core.media.limits import MOST_IMAGE_BYTES, image_fault, read_bounded

if TYPE_CHECKING:
    from typing_extensions import Self

Frame = NDArray[np.uint8]


def no_pyav(error: ImportError) -> str:
    """What to say where PyAV is needed and cannot be imported."""
    return (
        f"expected PyAV, which reads and writes videos; it cannot be imported ({error}): install "
        "it (pip install 'av>=17'), or if it is installed, there is no memory left for it"
    )


class VideoError(DCFSTError, ValueError):
    """A video, image folder or camera that cannot be opened, read or written."""


@dataclass(frozen=True)
class TimedFrame:
    """One frame of a source.

    rgb: uint8 (H, W, 3). number: place in the source, from 0; damaged frames keep theirs. time_s:
    seconds after frame 0 of a file, or after the first image of a camera; None for images of
    which nobody knows the time.
    """

    rgb: Frame
    number: int
    time_s: float | None


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
    """Frames of a file, a folder, a camera or a stream; iterate over it, or over `timed()`.

    name: for messages. count: number of frames to come as far as known, None for a camera.
    skipped: number of the first frame to deliver. fps: frames a second, None where the source does
    not say. notes: what its user should hear, oldest first; who shows a note removes it. lost:
    numbers of the frames that could not be read. missing: after iteration, what was read and what
    was lost; None when nothing is missing.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.count: int | None = None
        self.skipped = 0
        self.fps: float | None = None
        self.notes: list[str] = []
        self.lost: list[int] = []
        self.missing: str | None = None

    def __iter__(self) -> Iterator[Frame]:
        """The frames' pixels alone, uint8 RGB (H, W, 3)."""
        return (frame.rgb for frame in self.timed())

    def timed(self) -> Iterator[TimedFrame]:
        """The frames from number `skipped` on, in order.

        Damaged frames are left out and noted. Raises VideoError when none can be delivered.
        """
        delivered = 0
        for frame in self._timed():
            delivered += 1
            yield frame
        if not delivered:
            raise VideoError(self._nothing_came())

    def skip(self, frames: int) -> None:
        """Pass over the first frames; VideoError when the source is known to be shorter."""
        if frames < 0:
            raise VideoError(f"expected a start frame of 0 or more; got {frames}")
        if self.count is not None and frames >= self.count:
            raise VideoError(self._too_short(self.count, frames))
        self.skipped += frames
        if self.count is not None:
            self.count -= frames

    def _timed(self) -> Iterator[TimedFrame]:
        raise NotImplementedError

    def _lose(self, numbers: Iterable[int], reason: str) -> None:
        """Note frames that could not be read; those before the start are of no interest."""
        lost = [number for number in numbers if number >= self.skipped]
        if lost:
            self.lost += lost
            self.notes.append(f"{_frames(lost)} of {self.name} left out: {reason}")

    def _summary(self, read: int) -> str:
        return f"{read} frames of {self.name} were read, {_frames(self.lost)} could not be"

    def _nothing_came(self) -> str:
        if self.lost:
            return f"expected frames from {self.name}; none can be read: {self.notes[-1]}"
        return f"expected frames from {self.name}; it opened but delivered none"

    def _too_short(self, length: int, asked: int) -> str:
        return f"expected a start frame below {length}, the length of {self.name}; got {asked}"


def ranges(numbers: Iterable[int]) -> str:
    """Write rising numbers shortly: `3, 7-9`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in spans)


def _frames(numbers: list[int]) -> str:
    return f"frame{'s' if len(numbers) > 1 else ''} {ranges(numbers)}"


def read_image(path: str | Path) -> Frame:
    """Read an image file as RGB (H, W, 3) uint8; a grey image gets three equal channels.

    FrameError where the file is missing, is no image, is larger than `MOST_PIXELS`, or has more
    than 8 bits a channel: scaling 16-bit data is a choice (fixed, per image, by sensor range) that
    only its owner can make.
    """
    path = Path(path)
    if not path.is_file():
        raise FrameError(f"expected an image file at {path}; there is none")
    fault = image_fault(path)
    if fault is not None:
        raise FrameError(f"expected an image; {path} ({path.stat().st_size} bytes) {fault}")
    try:
        data = np.frombuffer(read_bounded(path, MOST_IMAGE_BYTES), dtype=np.uint8)
    except OSError as error:
        raise FrameError(f"expected an image file; {error}") from error
    # imdecode, because imread cannot open non-ASCII paths on Windows and says nothing on failure.
    image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        raise FrameError(f"expected an image; {path} ({len(data)} bytes) cannot be decoded as one")
    if image.dtype != np.uint8:
        raise FrameError(
            f"expected an 8-bit image; {path} holds {image.dtype} values: scale it to 0-255 first"
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
