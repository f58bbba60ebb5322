"""One sequence of a data set, and how its frames, boxes and flags are read from files."""

from __future__ import annotations

import hashlib
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from dcfst_core.boxes import BoxXYWH
from dcfst_core.errors import DCFSTError
from dcfst_core.evaluation.metrics import FloatArray, has_area
from dcfst_core.media import folders
from dcfst_core.media.frames import Frame, VideoError, read_image
from dcfst_core.media.limits import MOST_TEXT_BYTES, read_bounded
from dcfst_core.media.naming import natural_key


class DatasetError(DCFSTError, ValueError):
    """A data set that is not laid out as its format says."""


class AnnotatedClip(Protocol):
    """What a tracker can be run over and measured on: a sequence, or one changed on the fly.

    origin: index of the first pixel in its result files. truth_xywh: (N, 4), NaN where absent.
    """

    @property
    def name(self) -> str: ...

    @property
    def origin(self) -> int: ...

    @property
    def truth_xywh(self) -> FloatArray: ...

    @property
    def init_box_xywh(self) -> BoxXYWH: ...

    def images(self) -> Iterator[Frame]:
        """Yield the RGB frames."""

    def fingerprint(self) -> str:
        """Digest of what a tracker is shown and measured on."""


class DatasetWarning(UserWarning):
    """Something in a data set that cannot be used as it is, while the rest can."""


@dataclass(frozen=True)
class AnnotatedSequence:
    """A video with the true box of every frame.

    frames: one image file each. truth_xywh: (N, 4) float64 boxes in 0-based continuous pixels;
    NaN rows where the target is absent or the ground truth is not published. attributes: the set's
    names for what makes the sequence hard. group: the set or class folder it lies in. origin:
    index of the first pixel in the set's own files, and so in result files for its toolkits.
    start_xywh: the box to start a tracker with where it is not the true one. clip: the name that
    several starts of one clip have in common; empty where there is one.
    """

    name: str
    frames: tuple[Path, ...]
    truth_xywh: FloatArray
    attributes: tuple[str, ...] = ()
    group: str = ""
    origin: int = 0
    start_xywh: BoxXYWH | None = None
    clip: str = ""

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.truth_xywh):
            raise DatasetError(
                f"{self.name}: expected one true box a frame; got {len(self.frames)} images and "
                f"{len(self.truth_xywh)} boxes"
            )
        if not len(self.frames):
            raise DatasetError(f"{self.name}: expected at least one frame; got none")
        if not has_area(self.truth_xywh[:1])[0]:
            raise DatasetError(
                f"{self.name}: expected a box with positive size in the first frame, to start the "
                f"tracker; got {self.truth_xywh[0].tolist()}"
            )

    @property
    def init_box_xywh(self) -> BoxXYWH:
        """The box that a tracker is given in the first frame, in 0-based pixels."""
        if self.start_xywh is not None:
            return self.start_xywh
        x, y, w, h = (float(v) for v in self.truth_xywh[0])
        return (x, y, w, h)

    @property
    def has_truth(self) -> bool:
        """Whether any frame after the first has a published box."""
        return bool(has_area(self.truth_xywh[1:]).any())

    def images(self) -> Iterator[Frame]:
        """Yield the RGB frames, each read when it is asked for."""
        return (read_image(path) for path in self.frames)

    def fingerprint(self) -> str:
        """Digest of the frames' names, the true boxes and the box to start with.

        Names are taken with two folders above, so that a data set may move as a whole.
        """
        names = [path.parts[-3:] for path in self.frames]
        digest = hashlib.sha256(self.truth_xywh.tobytes())
        digest.update(repr((self.init_box_xywh, names)).encode())
        return digest.hexdigest()[:16]


class Loaded(list[AnnotatedSequence]):
    """Sequences of a data set. unusable: for each annotation that could not be used, why."""

    def __init__(self) -> None:
        super().__init__()
        self.unusable: dict[Path, str] = {}


def list_images(folder: Path) -> tuple[Path, ...]:
    """Return the image files of a folder in order of time, by the rule of `dcfst track`."""
    if not folder.is_dir():
        raise DatasetError(f"expected a folder of images at {folder}; there is none")
    try:
        return folders.list_images(folder).paths
    except VideoError as error:
        raise DatasetError(str(error)) from error


def read_rows(path: Path) -> list[list[float]]:
    """Read numbers separated by commas, tabs, semicolons or spaces; one row a line.

    Empty lines are skipped; `NaN` in any case is read as such. DatasetError names the line that
    does not fit.
    """
    return [row for _, row in _numbered_rows(path)]


def read_boxes(path: Path, origin: int = 0) -> FloatArray:
    """Read boxes x, y, w, h, one a line, into 0-based pixels (N, 4).

    `origin` is the index of the first pixel in the file: 1 for sets published from MATLAB.
    """
    rows = _numbered_rows(path)
    wrong = next(((number, row) for number, row in rows if len(row) != 4), None)
    if not rows or wrong is not None:
        place = f"{path}, line {wrong[0]}" if wrong else f"{path}"
        raise DatasetError(
            f"{place}: expected lines of 4 numbers x, y, w, h; got {wrong[1] if wrong else 'none'}"
        )
    boxes = np.array([row for _, row in rows], dtype=np.float64)
    boxes[:, :2] -= origin
    boxes[~has_area(boxes)] = np.nan
    return boxes


def read_flags(path: Path) -> np.ndarray:
    """Read 0/1 values, in one row or one a line, as booleans; empty where the file is missing."""
    if not path.is_file():
        return np.zeros(0, dtype=bool)
    return np.array([v for row in read_rows(path) for v in row]) > 0


def hide(boxes_xywh: FloatArray, absent: np.ndarray, source: Path) -> FloatArray:
    """Return the boxes with NaN where a flag says that the target is absent."""
    if not len(absent):
        return boxes_xywh
    if len(absent) != len(boxes_xywh):
        raise DatasetError(f"{source}: expected {len(boxes_xywh)} flags; got {len(absent)}")
    hidden = boxes_xywh.copy()
    hidden[absent] = np.nan
    return hidden


def match_lengths(name: str, frames: tuple[Path, ...], boxes: FloatArray) -> FloatArray:
    """Pad boxes with NaN where only the first is published; cut a surplus of one line."""
    if len(boxes) == 1 and len(frames) > 1:
        return np.vstack((boxes, np.full((len(frames) - 1, 4), np.nan)))
    if len(boxes) == len(frames) + 1:
        return boxes[: len(frames)]
    return boxes


def attribute_names(path: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names whose flag in an attribute file is set; none where there is no file."""
    return tuple(n for n, flag in zip(names, read_flags(path), strict=False) if flag)


def collect(items: Iterable[Path], load: Callable[[Path], AnnotatedSequence]) -> Loaded:
    """Load one sequence for each path, in natural order of the paths.

    Hidden files and what macOS puts beside others are no annotations. A sequence that cannot be
    loaded does not keep the others from being.
    """
    loaded = Loaded()
    files = [p for p in items if not p.name.startswith(".") and "__MACOSX" not in p.parts]
    for item in sorted(files, key=lambda p: natural_key(str(p))):
        try:
            loaded.append(load(item))
        except DatasetError as error:
            loaded.unusable[item] = str(error)
    return loaded


def lines_of(path: Path) -> list[tuple[int, str]]:
    """Number and text of the lines of a file that are not empty.

    Any line ending, with or without a byte order mark. DatasetError where there is no text file.
    """
    try:
        data = read_bounded(path, MOST_TEXT_BYTES)
    except (FileNotFoundError, IsADirectoryError):
        raise DatasetError(f"expected an annotation file at {path}; there is none") from None
    except OSError as error:
        raise DatasetError(f"expected an annotation file at {path}; {error}") from error
    encoding = "utf-16" if data[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: expected a text file; got binary data") from None
    lines = enumerate((line.strip() for line in text.splitlines()), start=1)
    return [(number, line) for number, line in lines if line]


def _numbered_rows(path: Path) -> list[tuple[int, list[float]]]:
    rows = []
    for number, line in lines_of(path):
        try:
            rows.append((number, [float(t) for t in re.split(r"[,;\s]+", line) if t]))
        except ValueError:
            raise DatasetError(
                f"{path}, line {number}: expected numbers separated by commas or spaces; "
                f"got {line!r}"
            ) from None
    return rows
