"""One interface for all training data: clips of frames with one box each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dcfst_core.evaluation.sequences import DatasetError
from dcfst_training.datasets.images import UnreadableFrameError, decode_image

# What comes of an annotation in JSON that is damaged or has another form.
MALFORMED = (
    *(ValueError, TypeError, LookupError, AttributeError),
    *(RecursionError, OverflowError),
)


class DatasetLayoutError(DatasetError):
    """A folder that is not laid out as its data set is published: what was looked for, where."""


@dataclass(frozen=True)
class Clip:
    """One object through some frames; a still image is a clip of one frame."""

    name: str
    frames: Sequence[Path]
    boxes_xywh: NDArray[np.float64]
    """(n, 4) pixels; NaN where the target is absent."""
    reader: Callable[[Path], NDArray[np.uint8]] | None = None
    """How a frame is read; None decodes an image file."""
    origin: str = ""
    """The image or video that it was cut from, which other clips may share; empty takes the part
    of the name before `#`."""
    related: tuple[str, ...] = ()
    """What else clips of the same video have in common, such as a source."""
    exact: bool = True
    """Whether the boxes are good enough to learn a box's IoU from."""
    mask: tuple[Path, int] | None = None
    """Mask image of its only frame, and the value of the object's pixels in it (255 also counts
    where that one is missing)."""
    numbers: NDArray[np.int64] | None = None
    """(n,) each frame's number in its video; None counts the frames."""

    def __post_init__(self) -> None:
        if not self.origin:
            object.__setattr__(self, "origin", origin_of(self.name))
        if self.boxes_xywh.shape != (len(self.frames), 4):
            raise DatasetLayoutError(
                f"clip {self.name}: expected one box of 4 numbers for each of its "
                f"{len(self.frames)} frames; got boxes of shape {self.boxes_xywh.shape}"
            )

    @cached_property
    def visible(self) -> NDArray[np.bool_]:
        """(n,) whether the target is in the frame, with a box of some size."""
        finite = np.isfinite(self.boxes_xywh).all(axis=1)
        return finite & (np.nan_to_num(self.boxes_xywh[:, 2:]) >= 4).all(axis=1)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Frame `index` as (H, W, 3) uint8 RGB; raises UnreadableFrameError."""
        path = self.frames[index]
        if self.reader is not None:
            return self.reader(path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UnreadableFrameError(f"expected an image in {path}; {error}") from error
        return decode_image(data, str(path))


def origin_of(name: str) -> str:
    """The image or video that a clip of this name was cut from: `coco/123` for `coco/123#7`."""
    return name.partition("#")[0]


def set_of(name: str) -> str:
    """The data set that a clip of this name belongs to."""
    return name.partition("/")[0]


class ClipSet(Protocol):
    """A named collection of clips."""

    name: str

    def __len__(self) -> int: ...

    def clip(self, index: int) -> Clip: ...

    def origin(self, index: int) -> str:
        """What clip `index` was cut from, without reading it."""
        ...


@dataclass(frozen=True)
class ClipList:
    """A ClipSet that holds its clips in memory."""

    name: str
    clips: tuple[Clip, ...]

    def __len__(self) -> int:
        return len(self.clips)

    def clip(self, index: int) -> Clip:
        """Clip `index`."""
        return self.clips[index]

    def origin(self, index: int) -> str:
        """What clip `index` was cut from."""
        return self.clips[index].origin
