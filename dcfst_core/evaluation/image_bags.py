"""Frames into a rosbag2 of sensor_msgs/Image, as a robot records them; without ROS."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from dcfst_core.media.bags import message_types
from dcfst_core.media.frames import Frame

START_NS = 1_700_000_000_000_000_000
IMAGE, TIME, HEADER = "sensor_msgs/msg/Image", "builtin_interfaces/msg/Time", "std_msgs/msg/Header"


def write_image_bag(
    path: Path, frames: Iterable[Frame], topic: str = "/camera/image_raw", rate_hz: float = 30.0
) -> Path:
    """Write RGB frames as images of one topic into a new mcap bag; returns its folder."""
    types = message_types()
    new = types.types
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(topic, IMAGE, typestore=types)
        for index, frame in enumerate(frames):
            time_ns = START_NS + round(index * 1e9 / rate_hz)
            header = new[HEADER](new[TIME](*divmod(time_ns, 1_000_000_000)), "camera")
            height, width = frame.shape[:2]
            data = np.ascontiguousarray(frame).reshape(-1)
            message = new[IMAGE](header, height, width, "rgb8", 0, 3 * width, data)
            writer.write(connection, time_ns, types.serialize_cdr(message, IMAGE))
    return path
