"""The demo's three processes on a synthetic video: every frame tracked, drawn, written."""

from __future__ import annotations

import csv
import signal
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from node_process import NodeProcess  # noqa: E402
from ros_bench import BLIND, BOX, WAIT_S, Bench, scene  # noqa: E402

from dcfst_core.media.video import VideoWriter, open_frames  # noqa: E402

FRAMES = 14


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A lossless image folder."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(FRAMES):
        cv2.imwrite(str(folder / f"{index:04d}.png"), scene(index)[..., ::-1])
    return folder


def record(bench: Bench, folder: Path) -> NodeProcess:
    return bench.start("record_node", {"folder": str(folder), "await_tracker": True})


def play(bench: Bench, source: Path, **changes: object) -> dict[str, object]:
    box = ",".join(map(str, BOX))
    return {"source": str(source), "init_box": box, "pace": "tracks", **changes}


def test_every_frame_is_tracked_drawn_and_written(bench: Bench, images: Path) -> None:
    out = bench.folder / "out"
    bench.start()
    recorder = record(bench, out)
    player = bench.start("play_sequence_node", play(bench, images, wait_subscribers=2))
    assert player.process.wait(WAIT_S) == 0, player.log
    bench.until(lambda: (out / "track.csv").read_text().count("\n") >= FRAMES - 2, "the rows")
    bench.spin(1.0)
    assert recorder.stop() == 0
    rows = list(csv.DictReader((out / "track.csv").open()))
    assert [int(row["frame"]) for row in rows] == list(range(FRAMES))
    assert {row["state"] for row in rows} == {"tracking"}
    assert [float(rows[0][k]) for k in "xywh"] == list(BOX)
    stamps = [float(row["stamp"]) for row in rows]
    assert stamps == sorted(set(stamps))
    assert f"frames in       {FRAMES}\nframes tracked  {FRAMES}" in recorder.log
    with open_frames(out / "track.mp4") as video:
        assert len(list(video)) == FRAMES
    sheet = cv2.imread(str(out / "contact_sheet.png"))
    assert sheet is not None and sheet.shape[1] > 4 * 320


def test_a_lost_target_leaves_empty_boxes_and_does_not_stop_the_player(
    bench: Bench, images: Path
) -> None:
    out = bench.folder / "out"
    bench.start(parameters=BLIND)
    recorder = record(bench, out)
    player = bench.start(
        "play_sequence_node", play(bench, images, wait_subscribers=2, frame_count=8)
    )
    assert player.process.wait(WAIT_S) == 0, player.log
    bench.spin(1.0)
    recorder.stop()
    rows = list(csv.DictReader((out / "track.csv").open()))
    states = [row["state"] for row in rows]
    assert states == ["tracking", *["lost"] * 7]
    assert all((row["x"] == "") == (row["state"] != "tracking") for row in rows)


@pytest.mark.fault("a truncated video")
def test_a_truncated_video_keeps_what_was_played(bench: Bench) -> None:
    whole = bench.folder / "whole.avi"
    with VideoWriter(whole, 25.0) as writer:
        for index in range(20):
            writer.write(scene(index))
    cut = bench.folder / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    out = bench.folder / "out"
    bench.start()
    recorder = record(bench, out)
    player = bench.start("play_sequence_node", play(bench, cut, wait_subscribers=2))
    assert player.process.wait(WAIT_S) == 0, player.log
    assert "truncated or damaged" in player.log
    bench.spin(1.0)
    recorder.stop()
    with open_frames(out / "track.mp4") as video:
        assert 3 < len(list(video)) < 20


def test_a_player_without_a_tracker_says_what_it_waited_for(bench: Bench, images: Path) -> None:
    player = bench.start("play_sequence_node", play(bench, images, timeout_s=1.0))
    assert player.process.wait(WAIT_S) == 1
    assert "expected 1 subscribers of /image and a tracker within 1 s" in player.log


@pytest.mark.parametrize(
    ("source", "expected"),
    [("/nowhere.mp4", "there is nothing at /nowhere.mp4"), ("", "expected -p source:=")],
)
def test_a_player_names_a_bad_source(bench: Bench, source: str, expected: str) -> None:
    player = bench.start("play_sequence_node", {"source": source})
    assert player.process.wait(WAIT_S) == 1
    assert expected in player.log


def test_real_time_pace_and_interruption(bench: Bench, images: Path) -> None:
    out = bench.folder / "out"
    recorder = bench.start("record_node", {"folder": str(out)})
    player = bench.start(
        "play_sequence_node", {"source": str(images), "rate_hz": 20.0, "loop": True}
    )
    bench.until(lambda: player.log.count("100%") >= 1, "one round")
    assert player.stop(signal.SIGINT) == 0
    assert recorder.stop(signal.SIGTERM) == 0
    with open_frames(out / "track.mp4") as video:
        assert len(list(video)) >= FRAMES - 1


def test_a_recorder_that_awaits_its_tracker_takes_images_from_then_on(bench: Bench) -> None:
    record(bench, bench.folder / "out")
    images = bench.image_publisher()
    diagnostics = bench.node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def tell(name: str) -> None:
        diagnostics.publish(DiagnosticArray(status=[DiagnosticStatus(name=name)]))

    bench.until(lambda: diagnostics.get_subscription_count() == 1, "the recorder")
    tell("another: tracker")
    bench.spin(1.0)
    assert images.get_subscription_count() == 0
    tell("tracker: tracker")
    bench.wait_for_image_subscriber()
