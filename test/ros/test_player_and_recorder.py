"""The player's stamps and patience, the recorder's ears: over real DDS."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from ros_bench import WAIT_S, Bench, scene  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2D  # noqa: E402

from dcfst_core.media.image_messages import rgb_to_image, stamp_to_ns  # noqa: E402
from dcfst_core.media.video import VideoWriter, open_frames  # noqa: E402

TIMES = [0.0, 0.04, 0.08, 0.38, 0.42, 0.46]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of varying rate."""
    with VideoWriter(tmp_path / "clip.mp4", 25) as writer:
        for index, time_s in enumerate(TIMES):
            writer.write(scene(index), time_s)
    return tmp_path / "clip.mp4"


def hear(bench: Bench, depth: int = 100) -> list[Image]:
    heard: list[Image] = []
    bench.node.create_subscription(Image, "image", heard.append, QoSProfile(depth=depth))
    return heard


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, TIMES),
        ({"start_frame": 2}, [t - TIMES[2] for t in TIMES[2:]]),
        ({"rate_hz": 10}, [i / 10 for i in range(6)]),  # an integer
        ({"rate_hz": 50.0, "frame_count": 3}, [0, 0.02, 0.04]),
    ],
)
def test_stamps_have_the_sources_times(
    parameters: dict[str, object], expected: list[float], bench: Bench, clip: Path
) -> None:
    heard = hear(bench)
    player = bench.start("play_sequence_node", {"source": str(clip), **parameters})
    bench.until(lambda: len(heard) >= len(expected), "the images")
    assert player.process.wait(WAIT_S) == 0, player.log
    stamps = [stamp_to_ns(m.header.stamp) for m in heard]
    assert [(s - stamps[0]) / 1e9 for s in stamps] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"source": 97}, "cannot open camera 97"),
        ({"source": "x", "rate_hz": "fast"}, "rate_hz: expected a number"),
        ({"source": "x", "start_frame": -1}, "start_frame: expected 0 or more"),
        ({"source": "x", "rate_hz": -5.0}, "rate_hz: expected 0 or more"),
        ({"source": "x", "loop": 1}, "loop: expected true or false"),
        ({"source": "x", "frame_count": 1.5}, "frame_count: expected a whole number"),
    ],
)
def test_parameters_of_another_type_are_taken_or_named(
    parameters: dict[str, object], expected: str, bench: Bench
) -> None:
    player = bench.start("play_sequence_node", parameters)
    assert player.process.wait(WAIT_S) == 1
    assert expected in player.log and "Traceback" not in player.log


def test_a_recorder_alone_is_not_the_tracker(bench: Bench, clip: Path) -> None:
    """The first frame waits for the node that takes boxes *and* images."""
    heard = hear(bench)  # as a recorder would
    boxes: list[Detection2D] = []
    bench.node.create_subscription(Detection2D, "other/box", boxes.append, 10)
    player = bench.start(
        "play_sequence_node", {"source": str(clip), "init_box": "1,2,30,40", "timeout_s": 2.0}
    )
    assert player.process.wait(WAIT_S) == 1
    assert "and a tracker within 2 s" in player.log and not heard
    bench.processes.clear()
    bench.node.create_subscription(Detection2D, "tracker/init_box", boxes.append, 10)
    player = bench.start("play_sequence_node", {"source": str(clip), "init_box": "1,2,30,40"})
    bench.until(lambda: len(boxes) == 1 and len(heard) == len(TIMES), "box and images")
    assert player.process.wait(WAIT_S) == 0, player.log
    assert boxes[0].header.stamp == heard[0].header.stamp


@pytest.mark.parametrize("reliability", ["RELIABLE", "BEST_EFFORT"])
def test_a_recorder_hears_any_camera_and_keeps_its_times(reliability: str, bench: Bench) -> None:
    out = bench.folder / "out"
    qos = QoSProfile(depth=10, reliability=ReliabilityPolicy[reliability])
    camera = bench.node.create_publisher(Image, "image", qos)
    recorder = bench.start("record_node", {"folder": str(out), "fps": 0})
    bench.until(lambda: camera.get_subscription_count() == 1, "the recorder")
    for index, time_s in enumerate(TIMES):
        message = rgb_to_image(scene(index), Image())
        message.header.stamp.sec, message.header.stamp.nanosec = 100, round(time_s * 1e9)
        camera.publish(message)
        bench.spin(0.1)
    bench.spin(0.5)
    assert recorder.stop() == 0
    with open_frames(out / "track.mp4") as video:
        assert [f.time_s for f in video.timed()] == pytest.approx(TIMES, abs=1e-4)
    assert list(csv.DictReader((out / "track.csv").open())) == []
    assert cv2.imread(str(out / "contact_sheet.png")) is not None


def test_a_recorder_passes_over_an_image_it_cannot_read(tmp_path: Path) -> None:
    from dcfst_ros.recording import TrackRecorder

    recorder = TrackRecorder(tmp_path)
    for index in range(3):
        message = rgb_to_image(np.full((32, 48, 3), 9, np.uint8), Image())
        message.encoding = "holographic" if index == 1 else message.encoding
        recorder.add_image(index * 40_000_000, message)
    recorder.finish()
    assert "stamped 0.040000000 s is left out: encoding 'holographic'" in recorder.notes[0]
    assert len(list(open_frames(tmp_path / "track.mp4"))) == 2
