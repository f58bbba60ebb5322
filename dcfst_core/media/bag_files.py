"""Opening a rosbag2 in whatever state it is: without metadata, without index, cut off."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from dcfst_core.errors import DCFSTError
from dcfst_core.media.mcap_recovery import RecoveredMcap, has_whole_index
from dcfst_core.media.naming import natural_key

SUFFIXES = (".mcap", ".db3")

# vision_msgs 4, which rosbags does not bring along.
VISION_MSGS = {
    "Point2D": "float64 x\nfloat64 y",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\n"
    "geometry_msgs/PoseWithCovariance pose",
    "Detection2D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox2D bbox\nstring id",
    "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections",
}


class BagError(DCFSTError, ValueError):
    """A bag, or a topic or stamp in it, that cannot be used."""


def message_types() -> Any:
    """A rosbags typestore with the standard messages of ROS 2 Jazzy and those of vision_msgs."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in VISION_MSGS.items():
        store.register(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    return store


class OpenBag:
    """An open rosbags reader over a bag's folder or files.

    notes: what had to be mended, for the user. complete: whether nothing is known to be missing.
    Raises BagError where there is no bag or nothing of it can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.complete = True
        self._scratch: TemporaryDirectory[str] | None = None
        if not path.exists():
            raise BagError(f"expected a rosbag2 (a folder, .mcap or .db3); nothing is at {path}")
        if not path.is_dir() and path.suffix not in SUFFIXES:
            raise BagError(f"expected a rosbag2 (a folder, .mcap or .db3); got {path}")
        self.files = [path] if path.is_file() else _data_files(path)
        self.reader = self._open()

    def close(self) -> None:
        """Let go of the files; safe to call twice."""
        if self.reader.stack is not None:
            self.reader.close()
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def open_files(self, why: str) -> None:
        """Read the data files themselves, not by way of metadata.yaml."""
        if self.reader.stack is not None:
            self.reader.close()
        self.notes.append(f"{why}: the data files are read as they are")
        self.reader = self._try([self._mended(file) for file in self.files])

    def _open(self) -> AnyReader:
        mended = [self._mended(file) for file in self.files]
        as_they_are = mended == self.files
        if self.path.is_dir() and (self.path / "metadata.yaml").is_file() and as_they_are:
            try:
                return self._try([self.path])
            except BagError as error:
                reason = error.__cause__ or error
                self.notes.append(
                    f"metadata.yaml cannot be used ({reason}): the data files are read as they are"
                )
                self.complete = "files are missing" not in str(reason)
        elif self.path.is_dir() and as_they_are:
            self.notes.append(
                f"there is no metadata.yaml in {self.path}: the data files are read as they are"
            )
        return self._try(mended)

    def _try(self, paths: Sequence[Any]) -> AnyReader:
        if not paths:
            held = ", ".join(sorted(p.name for p in self.path.iterdir())[:5]) or "nothing"
            raise BagError(
                f"expected a rosbag2 in {self.path}: .mcap or .db3 files; it holds {held}"
            )
        try:
            reader = AnyReader(paths, default_typestore=message_types())
            reader.open()
        except Exception as error:  # whatever rosbags and its libraries raise on damaged data
            raise unreadable(self.path, error) from error
        return reader

    def _mended(self, file: Path) -> Any:
        """The file, or what stands for it when it was not completed."""
        if file.suffix == ".db3":
            return self._with_journal(file)
        try:
            with AnyReader([file], default_typestore=message_types()):
                whole = has_whole_index(file)
        except Exception:
            whole = False
        if whole:
            return file
        try:
            recovered = RecoveredMcap(file)
        except OSError as error:
            raise unreadable(file, error) from error
        if recovered.lost:
            self.complete = False
            self.notes.append(f"{file} was cut off or damaged: {recovered.lost} cannot be read")
        else:
            self.notes.append(f"{file} has no whole index: it is read from end to end")
        return recovered

    def _with_journal(self, file: Path) -> Path:
        """A database that a crash left with a journal holds its last messages in there."""
        journals = [file.with_name(file.name + end) for end in ("-wal", "-journal")]
        journals = [path for path in journals if path.is_file() and path.stat().st_size]
        if not journals:
            return file
        self._scratch = self._scratch or TemporaryDirectory(prefix="dcfst_bag_")
        copy = Path(self._scratch.name) / file.name
        for path in (file, *journals):
            shutil.copyfile(path, copy.with_name(path.name))
        try:
            database = sqlite3.connect(copy)
            database.execute("PRAGMA journal_mode = DELETE").fetchall()
            database.execute("SELECT count(*) FROM sqlite_master").fetchall()
            database.close()
        except sqlite3.Error as error:
            raise unreadable(file, error) from error
        self.notes.append(f"{file} was not closed: its journal is read too")
        return copy


def unreadable(path: Path, error: BaseException) -> BagError:
    """The error for what rosbags cannot read, with the reason and what can be done."""
    return BagError(
        f"expected a whole rosbag2 (mcap or sqlite3) at {path}; reading it failed: "
        f"{error or type(error).__name__}. A recording that was cut off can often be repaired "
        "with `mcap recover`, or `sqlite3 FILE.db3 .recover`, and then `ros2 bag reindex`"
    )


def _data_files(folder: Path) -> list[Path]:
    found = [p for p in folder.iterdir() if p.suffix in SUFFIXES and not p.name.startswith(".")]
    return sorted((p for p in found if p.is_file()), key=lambda p: natural_key(p.name))
