"""Reading the images of a rosbag2 (mcap or sqlite3), by way of `rosbags`; without ROS."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2 import ReaderError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from dcfst_core.errors import DCFSTError
from dcfst_core.media.frames import Closing

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")

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


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what rosbags raises on a damaged or foreign bag into a BagError."""
    try:
        yield
    except (AnyReaderError, ReaderError, sqlite3.Error, struct.error, AssertionError) as error:
        raise BagError(
            f"expected a whole rosbag2 (mcap or sqlite3) at {path}; reading it failed: "
            f"{error or type(error).__name__}. A recording that was cut off can often be repaired "
            "with `ros2 bag reindex` or `mcap recover`"
        ) from error


class ImageBag(Closing):
    """The messages of a rosbag2 in order of recording, those of one image topic readable.

    `path`: the bag's folder, or one .mcap or .db3 file. `topic`: sensor_msgs/Image or
    CompressedImage. Raises BagError when there is no such bag or image topic.
    """

    def __init__(self, path: Path, topic: str) -> None:
        self.path = path
        if not path.exists():
            raise BagError(f"expected a rosbag2 (a folder, .mcap or .db3); nothing is at {path}")
        if path.is_file() and path.suffix not in (".mcap", ".db3"):
            raise BagError(f"expected a rosbag2 (a folder, .mcap or .db3); got {path}")
        self._reader = AnyReader([path], default_typestore=message_types())
        try:
            with _explained(path):
                self._reader.open()
        except FileNotFoundError as error:
            raise BagError(f"expected metadata.yaml in the bag's folder {path}") from error
        try:
            self.topic = self._image_topic(topic)
        except BagError:
            self._reader.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self._reader.stack is not None:
            self._reader.close()

    @property
    def topics(self) -> list[str]:
        """All topics, sorted."""
        return sorted({connection.topic for connection in self._reader.connections})

    @property
    def connections(self) -> list[Any]:
        """What rosbags calls connections: topics with their types and quality of service."""
        return list(self._reader.connections)

    @property
    def storage(self) -> str:
        """`mcap` or `sqlite3`."""
        files = [self.path] if self.path.is_file() else list(self.path.iterdir())
        return "mcap" if any(".mcap" in file.name for file in files) else "sqlite3"

    @property
    def image_count(self) -> int:
        """Number of images on the topic."""
        return sum(c.msgcount for c in self._image_connections())

    @property
    def fps(self) -> float:
        """Images a second, from the bag's length; 30 where that says nothing."""
        duration_s = self._reader.duration / 1e9
        fps = (self.image_count - 1) / duration_s if duration_s > 0 else 0.0
        return fps if 0.1 <= fps <= 240 else 30.0

    def messages(self) -> Iterator[tuple[Any, int, bytes]]:
        """All messages: connection, time of recording in ns, serialised message."""
        with _explained(self.path):
            yield from self._reader.messages()

    def is_image(self, connection: Any) -> bool:
        """Whether a message of this connection is one of the images."""
        return bool(connection.topic == self.topic)

    def image(self, connection: Any, data: bytes) -> Any:
        """The Image or CompressedImage message."""
        with _explained(self.path):
            return self._reader.deserialize(data, connection.msgtype)

    def first_image(self) -> Any:
        """The first Image or CompressedImage message; BagError when there is none."""
        for connection, _, data in self._images():
            return self.image(connection, data)
        raise BagError(f"{self.topic} holds no image")

    def image_near(self, stamp_ns: int, tolerance_ns: int) -> Any:
        """The message whose header stamp is nearest to a stamp, in ns.

        Raises BagError when none is within `tolerance_ns`, with the stamps there are.
        """
        found: list[tuple[int, Any, bytes]] = []
        first_ns = 0
        for connection, _, data in self._images():
            own_ns = _header_stamp_ns(data)
            first_ns = first_ns if found else own_ns
            found = [*found[-1:], (own_ns, connection, data)]
            if own_ns > stamp_ns + tolerance_ns:
                break  # stamps rise; the rest of a long bag need not be read
        if not found:
            raise BagError(f"{self.topic} holds no image")
        nearest_ns, connection, data = min(found, key=lambda image: abs(image[0] - stamp_ns))
        if abs(nearest_ns - stamp_ns) > tolerance_ns:
            raise BagError(
                f"no image on {self.topic} is stamped {seconds(stamp_ns)}: the nearest is "
                f"{seconds(nearest_ns)}, the first {seconds(first_ns)}"
            )
        return self.image(connection, data)

    def _images(self) -> Iterator[tuple[Any, int, bytes]]:
        with _explained(self.path):
            yield from self._reader.messages(self._image_connections())

    def _image_connections(self) -> list[Any]:
        return [c for c in self._reader.connections if c.topic == self.topic]

    def _image_topic(self, topic: str) -> str:
        types = {c.topic: c.msgtype for c in self._reader.connections}
        wanted = "/" + topic.strip("/")
        if types.get(wanted) in IMAGE_TYPES:
            return wanted
        images = [c for c in self._reader.connections if c.msgtype in IMAGE_TYPES]
        there = ", ".join(sorted(f"{c.topic} ({c.msgcount} images)" for c in images)) or "none"
        found = f"it is a {types[wanted]}" if wanted in types else "there is no such topic"
        raise BagError(
            f"expected an image topic {wanted} in {self.path}: {found}. Image topics there are: "
            f"{there}"
        )


def _header_stamp_ns(data: bytes) -> int:
    """The stamp of a serialised message that begins with a header, without reading the rest."""
    # CDR: 4 bytes that tell the byte order, then std_msgs/Header's stamp.
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def seconds(stamp_ns: int) -> str:
    """A stamp as ROS tools print it: seconds with nine decimals."""
    return f"{stamp_ns // 1_000_000_000}.{stamp_ns % 1_000_000_000:09d} s"
