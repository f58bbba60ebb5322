"""`dcfst bag` on bags that rosbags wrote, in both storages, good and bad."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("rosbags")

from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg

from dcfst_core import Tracker, TrackerConfig
from dcfst_core.cli.main import main
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.bags import VISION_MSGS, message_types
from dcfst_core.media.video import open_frames
from dcfst_core.network.checkpoint import load_model

ROOT = Path(__file__).resolve().parent.parent
CLIP = SyntheticClip(frames=8, size=(160, 120), target=(24, 30), period=60)
BOXES = CLIP.boxes_xywh()
START_NS = 1_700_000_000_250_000_000
PERIOD_NS = 40_000_000
IMAGE, COMPRESSED, TEXT = (
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
    "std_msgs/msg/String",
)
STORAGES = [StoragePlugin.MCAP, StoragePlugin.SQLITE3]


def box_text(frame: int = 0) -> str:
    return ",".join(str(v) for v in BOXES[frame])


class BagMaker:
    """Write a small bag: raw and compressed images of the clip, and text between them."""

    def __init__(self, path: Path, storage: StoragePlugin) -> None:
        self.path, self.storage = path, storage
        self.types = message_types()

    def new(self, kind: str, *values: Any) -> Any:
        return self.types.types[kind](*values)

    def header(self, index: int) -> Any:
        stamp = divmod(START_NS + index * PERIOD_NS, 1_000_000_000)
        return self.new(
            "std_msgs/msg/Header", self.new("builtin_interfaces/msg/Time", *stamp), "camera"
        )

    def image(self, index: int, frame: np.ndarray, encoding: str = "bgr8") -> Any:
        height, width = frame.shape[:2]
        data = np.ascontiguousarray(frame[..., ::-1]).reshape(-1)
        return self.new(IMAGE, self.header(index), height, width, encoding, 0, 3 * width, data)

    def compressed(self, index: int, frame: np.ndarray) -> Any:
        data = cv2.imencode(".png", frame[..., ::-1])[1].reshape(-1)
        return self.new(COMPRESSED, self.header(index), "png", data)

    def write(self, frames: list[np.ndarray], bad: int | None = None) -> Path:
        with Writer(self.path, version=8, storage_plugin=self.storage) as writer:
            raw, compressed, text = (
                writer.add_connection(topic, kind, typestore=self.types)
                for topic, kind in (
                    ("/camera/image_raw", IMAGE),
                    ("/camera/image_raw/compressed", COMPRESSED),
                    ("/chatter", TEXT),
                )
            )
            for index, frame in enumerate(frames):
                # Recorded a little later than taken, as it is on a robot.
                time_ns = START_NS + index * PERIOD_NS + 3_000_000
                encoding = "bgr8" if index != bad else "holographic"
                for connection, message in (
                    (raw, self.image(index, frame, encoding)),
                    (compressed, self.compressed(index, frame)),
                    (text, self.new(TEXT, f"frame {index}")),
                ):
                    data = self.types.serialize_cdr(message, connection.msgtype)
                    writer.write(connection, time_ns, data)
        return self.path


@pytest.fixture(params=STORAGES, ids=lambda storage: storage.name.lower())
def bag(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return BagMaker(tmp_path / "drive", request.param).write(list(CLIP))


@pytest.fixture
def mcap(tmp_path: Path) -> Path:
    return BagMaker(tmp_path / "drive", StoragePlugin.MCAP).write(list(CLIP))


@pytest.fixture
def follow(untrained: str, small: list[str]) -> Any:
    """Run `dcfst bag` with the small test network."""
    threads = torch.get_num_threads()

    def run(bag: Path, *arguments: str, topic: str = "/camera/image_raw") -> int:
        command = ["bag", str(bag), "--image-topic", topic, "--weights", untrained]
        return main([*command, *arguments, *small, "--device", "cpu"])

    yield run
    torch.set_num_threads(threads)


def messages(path: Path) -> dict[str, list[tuple[int, bytes, Any]]]:
    """Every topic's messages: time of recording, bytes, deserialised message."""
    found: dict[str, list[tuple[int, bytes, Any]]] = {}
    with AnyReader([path]) as reader:
        for connection in reader.connections:
            found[connection.topic] = []
        for connection, time_ns, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            found[connection.topic].append((time_ns, bytes(data), message))
    return found


def library_tracks(weights: str, frames: list[np.ndarray], start: int = 0) -> list[Any]:
    config = TrackerConfig(
        box_refinement=False, patch_size=96, grid_size=11, grid_spacing=4.0, update_interval=10
    )
    tracker = Tracker(load_model(weights), config, "cpu")
    tracks = [tracker.init(frames[start], BOXES[start])]
    return tracks + [tracker.update(frame) for frame in frames[start + 1 :]]


@pytest.mark.parametrize("topic", ["/camera/image_raw", "/camera/image_raw/compressed"])
def test_tracks_equal_the_librarys_bit_for_bit_beside_the_old_topics(
    bag: Path, follow: Any, untrained: str, topic: str, tmp_path: Path
) -> None:
    video = tmp_path / "out.mp4"
    assert follow(bag, "--init", box_text(), "--video", str(video), topic=topic) == 0
    old, new = messages(bag), messages(tmp_path / "drive_tracked")
    assert set(new) == {*old, "/tracker/track", "/tracker/tracks", "/tracker/state"}
    for name in old:
        assert [m[:2] for m in new[name]] == [m[:2] for m in old[name]]

    expected = library_tracks(untrained, list(CLIP))
    arrays = new["/tracker/tracks"]
    assert len(arrays) == len(expected) == len(CLIP)
    singles = iter(new["/tracker/track"])
    for index, ((time_ns, _, array_), track) in enumerate(zip(arrays, expected, strict=True)):
        assert time_ns == START_NS + index * PERIOD_NS + 3_000_000
        stamp = array_.header.stamp
        assert stamp.sec * 10**9 + stamp.nanosec == START_NS + index * PERIOD_NS
        assert array_.header.frame_id == "camera"
        assert len(array_.detections) == (track.state == "tracking")
        for detection in array_.detections:
            single = next(singles)[2]
            assert (single.header, single.bbox) == (detection.header, detection.bbox)
            x, y, w, h = track.box_xywh
            box = detection.bbox
            assert (box.size_x, box.size_y) == (w, h)
            assert (box.center.position.x, box.center.position.y) == (x + w / 2, y + h / 2)
            assert detection.results[0].hypothesis.score == track.score
            assert detection.id == "target" and detection.header == array_.header
    assert next(singles, None) is None
    states = [m.message for _, _, m in new["/tracker/state"]]
    assert states[0] == "tracking"
    assert states == [
        t.state.value for i, t in enumerate(expected) if i == 0 or t.state != expected[i - 1].state
    ]
    with open_frames(video) as source:
        assert source.fps == pytest.approx(25, rel=0.01) and len(list(source)) == len(CLIP)


@pytest.mark.parametrize("at", ["1700000000.370", "+0.12", "+0.1215"])
def test_a_stamp_chooses_the_start_and_ids_name_the_targets(
    mcap: Path, follow: Any, untrained: str, at: str, tmp_path: Path
) -> None:
    out = tmp_path / "elsewhere"
    arguments = ["--init", box_text(3), "--id", "cup", "--at", at, "--out", str(out)]
    assert follow(mcap, *arguments, "--tracker-name", "front/tracker", "--quiet") == 0
    found = messages(out)
    expected = library_tracks(untrained, list(CLIP), start=3)
    arrays = [m for _, _, m in found["/front/tracker/tracks"]]
    assert len(arrays) == len(expected) == 5
    assert len(found["/camera/image_raw"]) == len(CLIP)  # those before are copied too
    first = arrays[0].detections[0]
    assert first.id == "cup" and first.bbox.size_x == BOXES[3][2]


def test_several_targets(mcap: Path, follow: Any, tmp_path: Path) -> None:
    boxes = ["--init", box_text(), "--init", "5,5,30,20"]
    assert follow(mcap, *boxes, "--set", "judgement=false", "--quiet") == 0
    arrays = [m for _, _, m in messages(tmp_path / "drive_tracked")["/tracker/tracks"]]
    assert all([d.id for d in a.detections] == ["1", "2"] for a in arrays)


def test_a_lost_target_is_no_detection(mcap: Path, follow: Any, tmp_path: Path) -> None:
    never = ["--set", "learning_threshold=1", "--set", "tracking_threshold=1"]
    never += ["--set", "lost_threshold=1", "--set", "lost_after=3"]
    assert follow(mcap, "--init", box_text(), *never, "--quiet") == 0
    found = messages(tmp_path / "drive_tracked")
    assert [len(m.detections) for _, _, m in found["/tracker/tracks"]] == [1, *[0] * 7]
    states = [m.message for _, _, m in found["/tracker/state"]]
    assert states == ["tracking", "uncertain", "lost"]


def test_an_image_that_cannot_be_read_is_passed_over(
    follow: Any, tmp_path: Path, capsys: Any
) -> None:
    bag = BagMaker(tmp_path / "drive", StoragePlugin.MCAP).write(list(CLIP), bad=4)
    assert follow(bag, "--init", box_text()) == 0
    printed = capsys.readouterr().err
    assert "image 5 ignored: encoding 'holographic' is not supported" in printed
    assert f"{len(CLIP) - 1} frames (" in printed
    found = messages(tmp_path / "drive_tracked")
    assert len(found["/tracker/tracks"]) == len(CLIP) - 1
    assert len(found["/camera/image_raw"]) == len(CLIP)


def test_a_change_of_size_releases_the_targets(follow: Any, tmp_path: Path, capsys: Any) -> None:
    frames = list(CLIP)
    frames[5:] = [cv2.resize(frame, (320, 240)) for frame in frames[5:]]
    bag = BagMaker(tmp_path / "drive", StoragePlugin.SQLITE3).write(frames)
    assert follow(bag, "--init", box_text()) == 0
    assert "changed from 160x120 to 320x240 at image 6" in capsys.readouterr().err
    found = messages(tmp_path / "drive_tracked")
    assert len(found["/tracker/tracks"]) == 5
    assert found["/tracker/state"][-1][2].message == "idle"


@pytest.mark.parametrize(
    ("arguments", "topic", "expected"),
    [
        ([], "/image", "there is no such topic. Image topics there are: /camera/image_raw (8"),
        ([], "/chatter", "it is a std_msgs/msg/String"),
        (["--at", "1700000009"], "/camera/image_raw", "the nearest is 1700000000.530000000 s"),
        (["--at", "noon"], "/camera/image_raw", "--at: expected a stamp in seconds"),
        (["--init", "900,0,9,9"], "/camera/image_raw", "box"),
        (["--id", "a", "--id", "b"], "/camera/image_raw", "--id: expected 1 different names"),
        (["--out", "HERE"], "/camera/image_raw", "exists already and is not written over"),
        (["--tracker-name", "/camera/../x"], "/camera/image_raw", "tracker-name"),
    ],
)
def test_what_cannot_be_done_is_explained_and_leaves_no_files(
    mcap: Path,
    follow: Any,
    arguments: list[str],
    topic: str,
    expected: str,
    tmp_path: Path,
    capsys: Any,
) -> None:
    arguments = [str(tmp_path) if a == "HERE" else a for a in arguments]
    init = [] if "--init" in arguments else ["--init", box_text()]
    before = sorted(tmp_path.iterdir())
    assert follow(mcap, *init, *arguments, topic=topic) == 1
    assert expected in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_tracks_that_are_there_already_are_not_mixed_with_new_ones(
    mcap: Path, follow: Any, tmp_path: Path, capsys: Any
) -> None:
    assert follow(mcap, "--init", box_text(), "--quiet") == 0
    again = tmp_path / "drive_tracked"
    assert follow(again, "--init", box_text()) == 1
    assert "/tracker/tracks already: choose another --tracker-name" in capsys.readouterr().err
    assert follow(again, "--init", box_text(), "--tracker-name", "second", "--quiet") == 0


def test_a_bag_of_humble_has_no_definitions(follow: Any, tmp_path: Path, capsys: Any) -> None:
    bag = BagMaker(tmp_path / "drive", StoragePlugin.SQLITE3).write(list(CLIP))
    (data,) = bag.glob("*.db3")
    with sqlite3.connect(data) as database:
        database.execute("DELETE FROM message_definitions")
        database.execute("UPDATE topics SET type = 'own_msgs/msg/Text' WHERE name = '/chatter'")
    metadata = bag / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace(TEXT, "own_msgs/msg/Text"))
    assert follow(bag, "--init", box_text()) == 0
    assert "/chatter is left out: neither the bag nor" in capsys.readouterr().err
    found = messages(tmp_path / "drive_tracked")
    assert len(found["/tracker/tracks"]) == len(found["/camera/image_raw"]) == len(CLIP)
    assert "/chatter" not in found


def test_a_damaged_database_is_explained(follow: Any, tmp_path: Path, capsys: Any) -> None:
    bag = BagMaker(tmp_path / "drive", StoragePlugin.SQLITE3).write(list(CLIP))
    (data,) = bag.glob("*.db3")
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    assert follow(bag, "--init", box_text()) == 1
    assert "expected a whole rosbag2" in capsys.readouterr().err
    assert follow(tmp_path / "nowhere", "--init", box_text()) == 1
    assert "nothing is at" in capsys.readouterr().err


def test_vision_msgs_are_those_of_ros() -> None:
    """The definitions in bags are those from which the nodes' messages are generated."""
    store = message_types()
    other = message_types()
    sources = ROOT / "scripts" / "ros_env" / "vision_msgs" / "msg"
    for name in VISION_MSGS:
        text = (sources / f"{name}.msg").read_text()
        other.register(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
        kind = f"vision_msgs/msg/{name}"
        assert store.hash_rihs01(kind) == other.hash_rihs01(kind)


def test_rclpy_reads_the_detections(mcap: Path, follow: Any, tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    from rclpy.serialization import deserialize_message
    from vision_msgs.msg import Detection2DArray

    assert follow(mcap, "--init", box_text(), "--quiet") == 0
    for _, data, message in messages(tmp_path / "drive_tracked")["/tracker/tracks"]:
        read = deserialize_message(data, Detection2DArray)
        for mine, theirs in zip(read.detections, message.detections, strict=True):
            assert (mine.id, mine.header.frame_id) == (theirs.id, "camera")
            assert mine.bbox.center.position.x == theirs.bbox.center.position.x
            assert mine.results[0].hypothesis.score == theirs.results[0].hypothesis.score
