"""Every box gets an answer, and no box is lost: many at once, late ones, bad ones."""

from __future__ import annotations

import itertools
import time

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from ros_bench import BOX, Bench, scene  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from vision_msgs.msg import Detection2D  # noqa: E402

from dcfst_core.media.image_messages import stamp_to_ns  # noqa: E402
from dcfst_ros.conversions import fill_bounding_box  # noqa: E402

RATE_HZ = 20.0


class Camera:
    """Publishes the scene at a steady rate while the bench spins; remembers its headers."""

    def __init__(self, bench: Bench) -> None:
        bench.wait_for_image_subscriber()
        self.headers: list[Header] = []
        self._bench = bench
        self._timer = bench.node.create_timer(1.0 / RATE_HZ, self._publish)

    def _publish(self) -> None:
        now_ns = time.time_ns()
        self._bench._next_stamp_ns = max(now_ns - 33_000_000, self._bench._next_stamp_ns)
        self.headers.append(self._bench.publish_frame(scene(len(self.headers) % 20)))

    def stop(self) -> None:
        self._bench.node.destroy_timer(self._timer)


def spread(count: int) -> list[tuple[float, float, float, float]]:
    """Boxes all over the small scene."""
    return [(4.0 + 6 * i, 10.0 + 3 * i, 24.0, 20.0) for i in range(count)]


def test_all_boxes_of_one_detector_message_start_on_its_frame(bench: Bench) -> None:
    # Five frames are a quarter of a second: starting eight targets takes longer than that.
    bench.start(parameters={"buffer_frames": 5, "max_targets": 8})
    bench.listen()
    camera = Camera(bench)
    bench.until(lambda: len(camera.headers) > 10, "a running camera")
    bench.box_publisher()
    header = camera.headers[-2]
    names = [f"box{i}" for i in range(8)]
    for name, box in zip(names, spread(8), strict=True):
        bench.publish_box(box, header, name)
    for name in names:
        values = {v.key: v.value for v in bench.result_of(name, "started").values}
        assert values["stamp"] == f"{header.stamp.sec}.{header.stamp.nanosec:09d}"
        assert int(values["frames caught up"]) <= 10 and float(values["milliseconds"]) > 0
    seen = [a for a in bench.arrays if stamp_to_ns(a.header.stamp) == stamp_to_ns(header.stamp)]
    assert {d.id for a in seen for d in a.detections} == set(names)
    # Caught up, all are tracked together in the frames that come.
    bench.until(lambda: len(bench.arrays[-1].detections) == 8, "all eight in one frame")
    camera.stop()


def test_twenty_boxes_do_not_silence_a_running_target(bench: Bench) -> None:
    bench.start(parameters={"max_targets": 30, "buffer_frames": 200})
    bench.listen()
    heard: list[float] = []
    camera = Camera(bench)
    bench.until(lambda: camera.headers, "an image")
    bench.publish_box(BOX, camera.headers[-1], "runner")
    bench.result_of("runner", "started")

    def note(message: Detection2D) -> None:
        if message.id == "runner":
            heard.append(time.monotonic())

    bench.node.create_subscription(Detection2D, "/tracker/track", note, 100)
    bench.until(lambda: len(heard) > 10, "the runner's track")
    heard.clear()
    for index, box in enumerate(spread(20)):
        bench.publish_box(box, camera.headers[-1], f"box{index}")
    for index in range(20):
        bench.result_of(f"box{index}", "started")
    bench.spin(1.0)
    camera.stop()
    frame_s = float(bench.status_line()[2]["tracker p95 (ms)"]) / 1e3
    gaps = [after - before for before, after in itertools.pairwise(heard)]
    # On an idle machine 0.3 s and one frame's work; a busy one delays frame, start and message.
    assert len(heard) > 10 and max(gaps) < 0.3 + 3 * frame_s + 0.2, (max(gaps), frame_s)


def test_a_newer_box_for_the_same_id_takes_the_place_of_one_that_waits(shared: Bench) -> None:
    header = shared.header()
    header.stamp.sec += 1  # its image comes later
    shared.publish_box(BOX, header, "cup")
    shared.publish_box((20.0, 20.0, 30.0, 30.0), shared.publish_frame(scene(0)), "cup")
    shared.result_of("cup", "started")
    (answer,) = shared.follow([scene(1)])
    assert answer.detections[0].bbox.size_x == pytest.approx(30.0, abs=0.1)
    first, last = (r.message for r in shared.results if r.name == "cup")
    assert first == "refused: a newer box for the same id took its place" and last == "started"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"theta": float("nan")}, "expected an upright box (theta 0), got theta nan"),
        ({"theta": 0.5}, "got theta 0.5"),
        ({"frame_id": "map"}, "its frame_id 'map' is not the image's 'camera_optical'"),
        ({"box": (10.0, 10.0, 0.1, 0.1)}, "at least 2 x 2 px, got 0.1 x 0.1"),
        ({"box": (0.0, 0.0, 161.0, 40.0)}, "no larger than the 160x120 image"),
        ({"box": (10.0, 10.0, float("nan"), 20.0)}, "finite numbers"),
        ({"box": (1000.0, 10.0, 20.0, 20.0)}, "overlaps the 160x120 image"),
        ({"box": (0.0, 0.0, 0.0, 0.0)}, "no target 'bad' to release"),
        ({"future_s": 100}, "lies in the future"),
        ({"future_s": -100}, "is too old"),
    ],
)
def test_a_bad_box_is_answered_with_the_reason(
    shared: Bench, change: dict[str, object], reason: str
) -> None:
    header = shared.publish_frame(scene(0))
    shared.until(lambda: shared.arrays, "the image to be there")
    header.frame_id = str(change.get("frame_id", header.frame_id))
    header.stamp.sec += int(str(change.get("future_s", 0)))
    detection = Detection2D(header=header, id="bad")
    fill_bounding_box(change.get("box", BOX), detection.bbox)  # type: ignore[arg-type]
    detection.bbox.center.theta = float(str(change.get("theta", 0.0)))
    shared.publish_box(BOX, shared.publish_frame(scene(0)), "good")  # makes the publisher
    shared.result_of("good", "started")
    shared._publishers["/tracker/init_box"].publish(detection)
    answer = shared.result_of("bad", "refused")
    assert reason in answer.message and answer.level == b"\x02"
    # Never throttled: the log has it too, each time.
    shared._publishers["/tracker/init_box"].publish(detection)
    log = shared.processes[0]
    shared.until(lambda: log.log.count("'bad' refused") == 2, "both refusals in the log")
    (answer,) = shared.follow([scene(1)])
    assert [d.id for d in answer.detections] == ["good"]


def test_releases_and_resets_are_answered_and_tracks_say_that_nothing_is_followed(
    shared: Bench,
) -> None:
    shared.begin(scene(0))
    (seen,) = shared.follow([scene(1)])
    pose = seen.detections[0].results[0].pose
    centre = seen.detections[0].bbox.center.position
    assert (pose.pose.position.x, pose.pose.position.y) == (centre.x, centre.y)
    assert pose.covariance[0] == -1.0  # not known, as sensor_msgs says it
    shared.publish_box((0.0, 0.0, 0.0, 0.0))
    assert shared.result_of(text="released").level == b"\x00"
    (answer,) = shared.follow([scene(2)])
    assert not answer.detections  # looked at, and nothing is followed


def test_late_subscribers_get_the_last_answer_for_each_id(shared: Bench) -> None:
    from diagnostic_msgs.msg import DiagnosticStatus

    from dcfst_ros.qos import state_qos

    header = shared.publish_frame(scene(0))
    for name in ("p", "q"):
        shared.publish_box(BOX, header, name)
        shared.result_of(name, "started")
    shared.publish_box((0.0, 0.0, 0.1, 0.1), header, "q")
    shared.result_of("q", "refused")
    heard: list[DiagnosticStatus] = []
    shared.node.create_subscription(
        DiagnosticStatus, "/tracker/init_result", heard.append, state_qos()
    )
    shared.until(lambda: {"p", "q"} <= {r.name for r in heard}, "the latched answers")
    shared.spin(0.5)
    told = [(r.name, r.message.split(":")[0]) for r in heard if r.name in ("p", "q")]
    assert sorted(told) == [("p", "started"), ("q", "refused")]


@pytest.mark.fault("large images in the buffer")
def test_large_images_are_kept_within_the_byte_limit(bench: Bench) -> None:
    bench.start(parameters={"buffer_mb": 1, "buffer_frames": 100})
    bench.listen()
    bench.wait_for_image_subscriber()
    frame = scene(0, width=320, height=240)  # 0.23 MB: four fit
    first = bench.publish_frame(frame)
    for _ in range(12):
        bench.answer_to(stamp_to_ns(bench.publish_frame(frame).stamp))
    bench.publish_box(BOX, first)
    refused = bench.result_of(text="too old").message
    assert "the buffer holds 4 frames" in refused
    bench.until(
        lambda: bench.diagnostics and "images kept (MB)" in bench.status_line()[2], "diagnostics"
    )
    bench.diagnostics.clear()
    assert float(bench.status_line()[2]["images kept (MB)"]) <= 1.0


@pytest.mark.fault("simulated time without a clock")
def test_simulated_time_without_a_clock_neither_deafens_nor_mutes(bench: Bench) -> None:
    bench.start(parameters={"use_sim_time": True, "diagnostics_period_s": 0.2})
    bench.listen()
    bench.wait_for_image_subscriber()  # found by a poll that needs no clock
    bench.begin(scene(0))
    bench.heartbeats.clear()
    bench.diagnostics.clear()
    bench.until(lambda: len(bench.heartbeats) >= 2, "heartbeats")
    assert len(bench.diagnostics) >= 2
    bench.publish_box(BOX, bench.header(), "early")  # whose image never comes
    assert "lies in the future" in bench.result_of("early", "refused").message
    assert len(bench.follow([scene(1)])[0].detections) == 1
