"""Joining messages by stamp: what overtakes its image is not lost."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2D, ObjectHypothesisWithPose  # noqa: E402

from dcfst_core.media.image_messages import rgb_to_image  # noqa: E402
from dcfst_core.media.video import open_frames  # noqa: E402
from dcfst_ros.conversions import fill_bounding_box  # noqa: E402
from dcfst_ros.recording import EARLY_FRAMES, WAITING_FRAMES, TrackRecorder  # noqa: E402

BOX = (4.0, 6.0, 12.0, 10.0)


def tracks() -> list[Detection2D]:
    detection = Detection2D(id="target", results=[ObjectHypothesisWithPose()])
    detection.results[0].hypothesis.score = 0.5
    fill_bounding_box(BOX, detection.bbox)
    return [detection]


def image() -> Image:
    return rgb_to_image(np.zeros((32, 48, 3), np.uint8), Image())


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "track.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("early", [(), (0,), (0, 1, 2), (1, 3)])
def test_tracks_that_overtake_their_image_are_written_with_it(
    tmp_path: Path, early: tuple[int, ...]
) -> None:
    recorder = TrackRecorder(tmp_path)
    for frame in range(4):
        stamp_ns = frame * 1_000_000
        if frame in early:
            recorder.add_tracks(stamp_ns, tracks(), stamp_ns + 500_000)
        recorder.add_image(stamp_ns, image())
        if frame not in early:
            recorder.add_tracks(stamp_ns, tracks(), stamp_ns + 500_000)
    recorder.finish()
    written = rows(tmp_path)
    assert [row["frame"] for row in written] == list("0123")
    assert [float(written[0][key]) for key in "xywh"] == list(BOX)
    assert {row["latency_ms"] for row in written} == {"0.5"}
    assert recorder.frames_tracked == 4


def test_tracks_of_images_that_never_come_are_forgotten(tmp_path: Path) -> None:
    recorder = TrackRecorder(tmp_path)
    for frame in range(3 * EARLY_FRAMES):
        recorder.add_tracks(frame, tracks(), frame)
    assert len(recorder._early) == EARLY_FRAMES
    recorder.add_image(3 * EARLY_FRAMES - 1, image())
    recorder.finish()
    assert len(rows(tmp_path)) == 1


@pytest.mark.fault("a recorder whose tracker is gone")
def test_images_whose_tracks_never_come_do_not_pile_up(tmp_path: Path) -> None:
    recorder = TrackRecorder(tmp_path)
    for frame in range(2 * WAITING_FRAMES):
        recorder.add_image(frame * 40_000_000, image())
        assert len(recorder._pending) <= WAITING_FRAMES
    assert recorder._written == WAITING_FRAMES
    recorder.finish()
    with open_frames(tmp_path / "track.mp4") as video:
        assert len(list(video)) == 2 * WAITING_FRAMES
