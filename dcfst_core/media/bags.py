"""Reading the images of a rosbag2 (mcap or sqlite3), by way of `rosbags`; without ROS."""

from __future__ import annotations

import statistics
import struct
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from dcfst_core.media.bag_files import VISION_MSGS, BagError, OpenBag, message_types, unreadable
from dcfst_core.media.frames import Closing

__all__ = ["VISION_MSGS", "BagError", "ImageBag", "message_types", "seconds"]

# A bag brings the definitions of its messages along: they may be others, or damaged.
_FIELDS = {
    "sensor_msgs/msg/Image": "header height width encoding is_bigendian step data",
    "sensor_msgs/msg/CompressedImage": "header format data",
}
IMAGE_TYPES = tuple(_FIELDS)
# Images that tell the rate.
_RATE_IMAGES = 60


class ImageBag(Closing):
    """The messages of a rosbag2 in order of recording, those of one image topic readable.

    `path`: the bag's folder, or one .mcap or .db3 file. `topic`: sensor_msgs/Image or
    CompressedImage. Raises BagError when there is no such bag or image topic.
    """

    def __init__(self, path: Path, topic: str) -> None:
        self.path = path
        self._bag = OpenBag(path)
        try:
            self.topic = self._image_topic(topic)
        except BagError:
            self._bag.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._bag.close()

    @property
    def _reader(self) -> Any:
        return self._bag.reader

    @property
    def notes(self) -> list[str]:
        """What had to be mended to read the bag."""
        return self._bag.notes

    @property
    def complete(self) -> bool:
        """Whether nothing of the bag is known to be missing."""
        return self._bag.complete

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
        return "mcap" if any(".mcap" in file.name for file in self._bag.files) else "sqlite3"

    @property
    def image_count(self) -> int:
        """Number of images on the topic."""
        return sum(c.msgcount for c in self._image_connections())

    @property
    def fps(self) -> float:
        """Images a second by the first images' own stamps; 30 where these say nothing."""
        stamps = [_header_stamp_ns(data) for _, _, data in islice(self._images(), _RATE_IMAGES)]
        steps = [b - a for a, b in pairwise(stamps) if b > a]
        return 1e9 / statistics.median(steps) if steps else 30.0

    def messages(self) -> Iterator[tuple[Any, int, bytes]]:
        """All messages: connection, time of recording in ns, serialised message."""
        yield from self._read()

    def is_image(self, connection: Any) -> bool:
        """Whether a message of this connection is one of the images."""
        return bool(connection.topic == self.topic)

    def image(self, connection: Any, data: bytes) -> Any:
        """The Image or CompressedImage message."""
        try:
            message = self._reader.deserialize(data, connection.msgtype)
            for name in _FIELDS.get(connection.msgtype, "").split():
                getattr(message, name)
            return message
        except Exception as error:
            raise unreadable(self.path, error) from error

    def first_image(self) -> Any:
        """The first Image or CompressedImage message; BagError when there is none."""
        for connection, _, data in self._images():
            return self.image(connection, data)
        raise BagError(f"{self.topic} holds no image")

    def image_near(self, stamp_ns: int, tolerance_ns: int) -> Any:
        """The message whose header stamp is nearest to a stamp, in ns.

        Raises BagError when none is within `tolerance_ns`, with the stamps there are.
        """
        best: tuple[int, Any, bytes] | None = None
        first_ns = 0
        for connection, _, data in self._images():
            own_ns = _header_stamp_ns(data)
            first_ns = own_ns if best is None else first_ns
            if best is None or abs(own_ns - stamp_ns) < abs(best[0] - stamp_ns):
                best = (own_ns, connection, data)
            if own_ns == stamp_ns:
                break  # stamps need not rise, so only this one ends the search
        if best is None:
            raise BagError(f"{self.topic} holds no image")
        nearest_ns, connection, data = best
        if abs(nearest_ns - stamp_ns) > tolerance_ns:
            raise BagError(
                f"no image on {self.topic} is stamped {seconds(stamp_ns)}: the nearest is "
                f"{seconds(nearest_ns)}, the first {seconds(first_ns)}"
            )
        return self.image(connection, data)

    def _images(self) -> Iterator[tuple[Any, int, bytes]]:
        yield from self._read(self._image_connections())

    def _read(self, *connections: list[Any]) -> Iterator[tuple[Any, int, bytes]]:
        messages = self._reader.messages(*connections)
        while True:
            try:
                message = next(messages)
            except StopIteration:
                return
            except Exception as error:  # whatever the storages raise on damaged data
                raise unreadable(self.path, error) from error
            yield message

    def _image_connections(self) -> list[Any]:
        return [c for c in self._reader.connections if c.topic == self.topic]

    def _image_topic(self, topic: str) -> str:
        wanted = "/" + topic.strip("/")
        types = {c.topic: c.msgtype for c in self._reader.connections}
        if wanted not in types and self.path.is_dir() and len(self._bag.files) > 0:
            # metadata.yaml of a recording that was cut off may know less than its files.
            self._bag.open_files(f"metadata.yaml does not know {wanted}")
            types = {c.topic: c.msgtype for c in self._reader.connections}
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
    if len(data) < 12:
        raise BagError(f"expected a message with a header; one of {len(data)} bytes has none")
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def seconds(stamp_ns: int) -> str:
    """A stamp as ROS tools print it: seconds with nine decimals."""
    return f"{stamp_ns // 1_000_000_000}.{stamp_ns % 1_000_000_000:09d} s"
