"""A folder of images as a sequence of frames."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dcfst_core.errors import FrameError
from dcfst_core.media.frames import FrameSource, TimedFrame, VideoError, read_image
from dcfst_core.media.name_times import OrderError
from dcfst_core.media.naming import in_time_order, seconds_of

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".jp2"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
)


@dataclass(frozen=True)
class ImageList:
    """The images of a folder in order of time.

    times_s: seconds after the first image where the names are times, else None. left_out: what
    lies in the folder and is no frame, in words; empty when there is nothing.
    """

    paths: tuple[Path, ...]
    times_s: tuple[float, ...] | None
    left_out: str


def list_images(folder: Path) -> ImageList:
    """Find the images of a folder and their order.

    Hidden files (and the `._` files of macOS) and files of other kinds are left out; of images
    under one name in two formats the format that most files have is taken. Raises VideoError
    without images, OrderError where the names do not tell the order.
    """
    images: list[Path] = []
    other: Counter[str] = Counter()
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            other["hidden"] += 1
        elif path.suffix.lower() not in IMAGE_SUFFIXES:
            other[path.suffix.lower() or "without suffix"] += not path.is_dir()
        elif not path.is_dir():
            images.append(path)
    if not images:
        raise VideoError(_no_images(folder, other))
    images, doubled = _one_format(images)
    other.update(doubled)
    try:
        order = in_time_order([path.stem for path in images])
    except OrderError as error:
        raise OrderError(f"{folder}: {error}") from None
    for index in set(range(len(images))) - {index for index, _ in order}:
        other[images[index].name] += 1
    times_s = seconds_of([key for _, key in order])
    left_out = ", ".join(f"{name} ({n})" for name, n in sorted(other.items()) if n)
    paths = tuple(images[index] for index, _ in order)
    return ImageList(paths, tuple(times_s) if times_s else None, left_out)


class ImageFolder(FrameSource):
    """The images of a folder in order of time; see `list_images`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        found = list_images(folder)
        self.paths = list(found.paths)
        self.count = len(self.paths)
        self._times_s = found.times_s
        if found.times_s and len(self.paths) > 1:
            self.fps = (len(self.paths) - 1) / (found.times_s[-1] - found.times_s[0])
        if found.left_out:
            self.notes.append(f"left out of {folder}: {found.left_out}")

    def _timed(self) -> Iterator[TimedFrame]:
        delivered = 0
        for number, path in enumerate(self.paths[self.skipped :], start=self.skipped):
            try:
                rgb = read_image(path)
            except FrameError as error:
                self._lose([number], str(error))
                continue
            delivered += 1
            yield TimedFrame(rgb, number, self._times_s[number] if self._times_s else None)
        if self.lost:
            self.missing = self._summary(delivered)


def _one_format(images: list[Path]) -> tuple[list[Path], Counter[str]]:
    """Of images that differ in their suffix alone, keep one; and what was left out."""
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        by_stem[path.stem].append(path)
    twice = [paths for paths in by_stem.values() if len(paths) > 1]
    if not twice:
        return images, Counter()
    counts = Counter(path.suffix for path in images).most_common(2)
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        names = " and ".join(path.name for path in twice[0])
        raise OrderError(
            f"{images[0].parent} holds each image twice, as {names}: which are the frames is not "
            "known. Put one kind into a folder of its own"
        )
    kept = [path for path in images if path.suffix == counts[0][0]]
    return kept, Counter(path.suffix for path in images if path.suffix != counts[0][0])


def _no_images(folder: Path, other: Counter[str]) -> str:
    holds = ", ".join(f"{name} ({count})" for name, count in sorted(other.items()) if count)
    below = [p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    hint = f", and the folders {', '.join(sorted(below)[:5])}" if below else ""
    found = f": it holds {holds or 'no files'}{hint}" if holds or hint else ""
    suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
    return f"expected images ({suffixes}) in {folder}; found none{found}"
