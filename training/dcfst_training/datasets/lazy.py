"""Large sets: an index of names at the start, one clip's annotation when that clip is drawn.

TrackingNet has 14 million frames: paths of all frames would fill the memory of every loader
process, and listing the folders would take minutes on a network file system.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar, overload

from dcfst_core.evaluation.sequences import DatasetError
from dcfst_training.datasets.clips import Clip, DatasetLayoutError, origin_of
from dcfst_training.datasets.images import UnreadableFrameError

Entry = TypeVar("Entry")

CACHE_BYTES = 2**27
"""Annotations that a set keeps in each process, once read: all of LaSOT's take 90 MB, and 20 ms
each to read."""
_CLIP_BYTES = 2000  # about what a clip takes besides its boxes


class NumberedFrames(Sequence[Path]):
    """The paths of `count` frames that are numbered without gaps, made up when asked for.

    `pattern` formats a frame's number, as in `{:08d}.jpg`; `first` is the first frame's number.
    """

    def __init__(self, folder: Path, pattern: str, count: int, first: int) -> None:
        self.folder, self.pattern, self.first = folder, pattern, first
        self._numbers = range(first, first + count)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> list[Path]: ...
    def __getitem__(self, index: int | slice) -> Path | list[Path]:
        """Path of frame `index`, or of a slice of frames."""
        if isinstance(index, slice):
            return [self._path(number) for number in self._numbers[index]]
        return self._path(self._numbers[index])

    def _path(self, number: int) -> Path:
        return self.folder / self.pattern.format(number)


class LazyClips(Generic[Entry]):
    """A ClipSet of entries whose annotations `load` reads; subclasses find the entries."""

    name = ""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self._read: dict[int, Clip] = {}
        self._room = CACHE_BYTES

    def __len__(self) -> int:
        return len(self.entries)

    def clip(self, index: int) -> Clip:
        """Clip `index`; raises UnreadableFrameError, naming the file, when it is damaged."""
        if index in self._read:
            return self._read[index]
        try:
            clip = self.load(self.entries[index])
        except DatasetError as error:
            raise UnreadableFrameError(str(error)) from error
        # Clips are drawn at random, so those that were read first are as good to keep as any.
        size = clip.boxes_xywh.nbytes + _CLIP_BYTES
        if size <= self._room:
            self._read[index] = clip
            self._room -= size
        return clip

    def origin(self, index: int) -> str:
        """What clip `index` was cut from, without reading it."""
        return origin_of(self.name_of(self.entries[index]))

    def name_of(self, entry: Entry) -> str:
        """The name of an entry's clip."""
        raise NotImplementedError

    def load(self, entry: Entry) -> Clip:
        """Read one clip's annotation; raises DatasetError."""
        raise NotImplementedError

    def check_first(self) -> None:
        """Read the first clip's annotation and find its first frame, so that a wrong layout ends
        the run at its start. Raises DatasetLayoutError."""
        try:
            clip = self.load(self.entries[0])
        except DatasetError as error:
            raise DatasetLayoutError(f"{self.name}: {error}") from error
        if not clip.frames[0].is_file():
            raise DatasetLayoutError(
                f"{self.name}: expected the first frame of {clip.name} at {clip.frames[0]}; there "
                "is no such file: is the archive of the frames unpacked?"
            )
