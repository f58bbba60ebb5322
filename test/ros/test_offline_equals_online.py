"""The node, `dcfst track` and `dcfst bag` find the same boxes in the same frames, bit for bit."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from rclpy.serialization import serialize_message  # noqa: E402
from ros_bench import BOX, Bench, scene  # noqa: E402
from rosbags.highlevel import AnyReader  # noqa: E402
from rosbags.rosbag2 import StoragePlugin, Writer  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from dcfst_core.cli.main import main  # noqa: E402
from dcfst_core.media.bags import message_types  # noqa: E402
from dcfst_core.media.image_messages import rgb_to_image, stamp_to_ns  # noqa: E402

FRAMES = [scene(index) for index in range(9)]
INIT = ["--init", ",".join(map(str, BOX)), "--device", "cpu", "--threads", "1", "--quiet"]


@pytest.fixture
def online(bench: Bench) -> list[Detection2DArray]:
    """The node's answers, with the packaged weights and the default settings."""
    bench.start(parameters={"weights": "", "cpu_threads": 1}, fast=False)
    bench.listen()
    header = bench.begin(FRAMES[0])
    return [bench.answer_to(stamp_to_ns(header.stamp), seen=True), *bench.follow(FRAMES[1:])]


@pytest.fixture(autouse=True)
def same_threads_afterwards() -> Any:
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def bag_of(answers: list[Detection2DArray], path: Path) -> Path:
    """A bag of the frames as rclpy serialises them, with the headers the node saw."""
    types = message_types()
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        images = writer.add_connection("/image", "sensor_msgs/msg/Image", typestore=types)
        for answer, frame in zip(answers, FRAMES, strict=True):
            message = rgb_to_image(frame, Image(header=answer.header))
            writer.write(images, stamp_to_ns(answer.header.stamp), serialize_message(message))
    return path


def numbers(array: Any) -> list[tuple[float, ...]]:
    """Every number of a Detection2DArray, whichever library read it."""
    return [
        (
            stamp_to_ns(d.header.stamp),
            d.bbox.center.position.x,
            d.bbox.center.position.y,
            d.bbox.size_x,
            d.bbox.size_y,
            d.results[0].hypothesis.score,
        )
        for d in array.detections
    ]


def test_the_bags_tracks_are_the_nodes(online: list[Detection2DArray], tmp_path: Path) -> None:
    bag = bag_of(online, tmp_path / "drive")
    assert main(["bag", str(bag), "--image-topic", "/image", *INIT]) == 0
    with AnyReader([tmp_path / "drive_tracked"]) as reader:
        arrays = [
            reader.deserialize(data, connection.msgtype)
            for connection, _, data in reader.messages()
            if connection.topic == "/tracker/tracks"
        ]
    assert [numbers(a) for a in arrays] == [numbers(a) for a in online]
    assert sum(len(a.detections) for a in arrays) > 4  # it was seen, and moved
    assert numbers(online[3])[0][1:3] != numbers(online[0])[0][1:3]


def test_the_video_commands_tracks_are_the_nodes(
    online: list[Detection2DArray], tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, frame in enumerate(FRAMES):
        cv2.imwrite(str(folder / f"{index}.png"), np.ascontiguousarray(frame[..., ::-1]))
    table = tmp_path / "tracks.csv"
    assert main(["track", str(folder), *INIT, "--csv", str(table)]) == 0
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == len(online)
    for row, answer in zip(rows, online, strict=True):
        assert (row["state"] == "tracking") == bool(answer.detections)
        for _, x, y, w, h, score in numbers(answer):
            written = (x - w / 2, y - h / 2, w, h)
            assert [row[k] for k in "xywh"] == [f"{v:.2f}" for v in written]
            assert row["score"] == f"{score:.4f}"
