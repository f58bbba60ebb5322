"""A rosbag2 of images, as a robot records it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from dcfst_core.media.bags import message_types

START_NS, PERIOD_NS = 1_700_000_000_000_000_000, 33_333_333
IMAGE = "sensor_msgs/msg/Image"


def write_bag(path: Path, frames: Sequence[np.ndarray]) -> Path:
    """Write RGB frames as /camera/image_raw into an mcap bag."""
    types = message_types()
    new = types.types
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/camera/image_raw", IMAGE, typestore=types)
        for index, frame in enumerate(frames):
            time_ns = START_NS + index * PERIOD_NS
            stamp = new["builtin_interfaces/msg/Time"](*divmod(time_ns, 1_000_000_000))
            header = new["std_msgs/msg/Header"](stamp, "camera")
            height, width = frame.shape[:2]
            data = np.ascontiguousarray(frame).reshape(-1)
            message = new[IMAGE](header, height, width, "rgb8", 0, 3 * width, data)
            writer.write(connection, time_ns, types.serialize_cdr(message, IMAGE))
    return path
