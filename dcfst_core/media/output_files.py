"""Are the files that a command shall write such that it can, and none of those that it reads?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2

from dcfst_core.media.folders import IMAGE_SUFFIXES
from dcfst_core.media.frames import VideoError
from dcfst_core.media.sinks import FORMATS

AnyPath = str | Path
# Options whose output is a folder.
FOLDERS = ("BAG", "--heatmap")


def check_outputs(outputs: Mapping[str, AnyPath | None], inputs: Iterable[AnyPath | None]) -> None:
    """Refuse outputs that cannot be written, and those that would harm an input.

    `outputs`: option and path (None: not asked for). `inputs`: files and folders that are read.
    An output may not be an input, by whatever name or link, nor lie in a folder that is read, nor
    be another output. Raises VideoError before anything is opened.
    """
    wanted = {name: Path(path) for name, path in outputs.items() if path not in (None, "-")}
    sources = [Path(path) for path in inputs if path is not None and Path(path).exists()]
    for name, path in wanted.items():
        _check_kind(name, path)
        _check_place(name, path)
        for source in sources:
            _check_apart(name, path, source)
    names = list(wanted)
    for index, name in enumerate(names):
        for other in names[:index]:
            if _is_same(wanted[name], wanted[other]):
                raise VideoError(
                    f"{other} and {name}: expected two files; both are {wanted[name]}"
                )


def _check_kind(name: str, path: Path) -> None:
    suffix = path.suffix.lower()
    if name in ("--out", "--video") and suffix not in FORMATS:
        raise VideoError(
            f"{name}: expected a video name ending in {', '.join(FORMATS)}; got {path.name}"
        )
    if name == "--sheet" and (suffix not in IMAGE_SUFFIXES or not cv2.haveImageWriter(path.name)):
        raise VideoError(f"{name}: expected an image name such as sheet.png; got {path.name}")
    if name == "--csv" and suffix in {*FORMATS, *IMAGE_SUFFIXES, ".safetensors"}:
        raise VideoError(f"{name}: expected a name such as tracks.csv, or -; got {path.name}")
    if name == "BAG" and suffix in (".mcap", ".db3", ".bag"):
        raise VideoError(
            f"--out: expected a folder's name, for a rosbag2 is a folder; got {path.name}"
        )


def _check_place(name: str, path: Path) -> None:
    """The nearest folder that is there must take new files."""
    if path.is_dir() and name not in FOLDERS:
        raise VideoError(f"{name}: expected a file's name; {path} is a folder")
    above = next(p for p in path.absolute().parents if os.path.lexists(p))
    if not above.is_dir():
        raise VideoError(f"{name}: expected a folder at {above}; it is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise VideoError(f"{name}: nothing can be written into {above}: permission denied")


def _check_apart(name: str, path: Path, source: Path) -> None:
    option = "--out" if name == "BAG" else name
    if _is_same(path, source):
        raise VideoError(f"{option}: {path} and the input {source} are one file: choose another")
    # Both the name and what a link of that name leads to.
    for place in (path.resolve(), path.parent.resolve() / path.name):
        if source.is_dir() and source.resolve() in place.parents:
            raise VideoError(
                f"{option}: {path} lies in the input {source}: choose a place outside of it"
            )


def _is_same(a: Path, b: Path) -> bool:
    if a.exists() and b.exists():
        return a.samefile(b)
    return a.resolve() == b.resolve()
