"""One running tracker node and everything that may happen to it; it must outlive all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from process_stats import held_by  # noqa: E402
from rcl_interfaces.msg import Parameter as ParameterMessage  # noqa: E402
from rcl_interfaces.msg import ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from ros_bench import BOX, Bench, scene  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from dcfst_core.media.image_messages import stamp_to_ns  # noqa: E402
from dcfst_ros.conversions import detection_to_box  # noqa: E402
from dcfst_ros.health import WARN  # noqa: E402

# Subscribes reliably to all that is published of targets.
READER = """
import rclpy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2D, Detection2DArray
rclpy.init()
node = rclpy.create_node("reader")
node.create_subscription(Detection2D, "/tracker/track", print, 10)
node.create_subscription(Image, "/tracker/debug_image", print, 10)
node.create_subscription(Detection2DArray, "/tracker/tracks", print, 10)
rclpy.spin(node)
"""


def works(bench: Bench, index: int = 1) -> None:
    """It takes a box and follows it, as on the first day."""
    node = bench.fresh()
    bench.begin(scene(0))
    (answer,) = bench.follow([scene(index)])
    assert [d.id for d in answer.detections] == ["target"]
    assert "Traceback" not in node.log


def are_finite(answers: list[Detection2DArray]) -> bool:
    found = [detection for answer in answers for detection in answer.detections]
    boxes = [(*detection_to_box(d), d.results[0].hypothesis.score) for d in found]
    return bool(np.isfinite(boxes).all()) if boxes else True


@pytest.mark.fault("black, constant and saturated frames")
def test_frames_without_content_give_no_numbers_that_are_none(shared: Bench) -> None:
    shared.begin(scene(0))
    flat = [np.full((120, 160, 3), value, np.uint8) for value in (0, 127, 255)]
    colour = np.zeros((120, 160, 3), np.uint8)
    colour[..., 0] = 255
    answers = shared.follow([*flat, colour, *flat[::-1], scene(1)])
    assert are_finite(answers)
    works(shared)


@pytest.mark.fault("a first frame without content")
def test_a_box_on_a_black_frame_is_answered(shared: Bench) -> None:
    shared.wait_for_image_subscriber()
    shared.wait_until_heard()
    header = shared.publish_frame(np.zeros((120, 160, 3), np.uint8))
    shared.publish_box(BOX, header)
    shared.until(
        lambda: any(r.message.startswith(("started", "refused")) for r in shared.results),
        "an answer to the box",
    )
    assert are_finite(shared.follow([np.zeros((120, 160, 3), np.uint8), scene(0), scene(1)]))
    works(shared)


@pytest.mark.fault("4K frames")
def test_4k_frames_are_tracked(shared: Bench) -> None:
    """From a camera with the shipped Fast DDS profile: without it, 25 MB go by way of UDP."""
    shared.drop_publisher()
    settings = {"width": 3840, "height": 2160, "rate_hz": 2.0, "period_frames": 3}
    camera = shared.start("synthetic_camera_node", settings)
    shared.until(lambda: len(shared.tracks) >= 3, "tracks of the camera")
    assert are_finite(list(shared.arrays))
    assert shared.tracks[-1].bbox.size_x > 200
    assert camera.stop() == 0
    shared.processes.remove(camera)
    shared.catch_up()
    works(shared)


@pytest.mark.fault("stamps that jump forwards by an hour and back")
def test_a_camera_whose_clock_jumps_is_followed(shared: Bench) -> None:
    shared.begin(scene(0))
    for jump_s in (3600, -3600, -7200, 7200):
        shared._next_stamp_ns += jump_s * 1_000_000_000
        (answer,) = shared.follow([scene(1)])
        assert [d.id for d in answer.detections] == ["target"]
    # In the whole log: the warning is throttled, and another test may have had it just now.
    assert "went backwards" in shared.processes[0].log_path.read_text()
    works(shared)


@pytest.mark.fault("SIGSTOP and SIGCONT")
def test_a_node_that_was_stopped_goes_on_with_the_newest_frame(shared: Bench) -> None:
    node = shared.processes[0]
    shared.begin(scene(0))
    before = len(shared.arrays)
    node.process.send_signal(signal.SIGSTOP)
    for index in range(12):
        header = shared.publish_frame(scene(index))
        shared.spin(0.05)
    assert len(shared.arrays) == before
    node.process.send_signal(signal.SIGCONT)
    answer = shared.answer_to(stamp_to_ns(header.stamp))
    assert [d.id for d in answer.detections] == ["target"]
    works(shared)


@pytest.mark.fault("a storm of parameters")
def test_a_storm_of_parameters_is_answered_and_stops_nothing(shared: Bench) -> None:
    shared.begin(scene(0))
    client = shared.node.create_client(SetParameters, "/tracker/set_parameters")
    shared.until(client.service_is_ready, "the parameter service")
    choose = np.random.default_rng(3)
    futures, stamps = [], []
    for index in range(300):
        value = float(choose.choice([0.0, 0.1, 0.3, 0.9, 2.0, -1.0, np.nan, np.inf]))
        name = str(choose.choice(["tracker.tracking_threshold", "tracker.reach", "no_such_one"]))
        kind = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
        request = SetParameters.Request(parameters=[ParameterMessage(name=name, value=kind)])
        futures.append(client.call_async(request))
        # A service keeps ten requests, which is ROS's own default; more at once would be lost.
        shared.until(lambda: sum(not f.done() for f in futures) < 8, "answers to requests")
        if index % 30 == 0:
            stamps.append(stamp_to_ns(shared.publish_frame(scene(index // 30)).stamp))
    shared.until(lambda: all(f.done() for f in futures), "an answer to each request")
    results = [future.result().results[0] for future in futures]
    assert {r.successful for r in results} == {True, False}
    assert all(r.reason for r in results if not r.successful)
    shared.answer_to(stamps[-1])
    for name, value in (("tracker.tracking_threshold", 0.0), ("tracker.reach", 1.5)):
        kind = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
        request = SetParameters.Request(parameters=[ParameterMessage(name=name, value=kind)])
        assert shared.call(SetParameters, "/tracker/set_parameters", request).results[0].successful
    shared.node.destroy_client(client)
    works(shared)


@pytest.mark.fault("a subscriber that never reads")
@pytest.mark.fault("a subscriber that dies")
def test_a_subscriber_that_stands_still_holds_nobody_up(shared: Bench) -> None:
    node = shared.processes[0]
    shared.begin(scene(0))
    others = shared.node.count_subscribers("/tracker/tracks")
    reader = subprocess.Popen([sys.executable, "-c", READER], env=shared.env)
    shared.until(
        lambda: shared.node.count_subscribers("/tracker/tracks") > others, "the other subscriber"
    )
    shared.spin(0.5)
    began_s = time.monotonic()
    shared.follow([scene(index) for index in range(20)])
    usual_s = (time.monotonic() - began_s) / 20
    reader.send_signal(signal.SIGSTOP)
    before, began_s = held_by(node.process.pid), time.monotonic()
    shared.follow([scene(index % 20) for index in range(60)])
    # A publisher that waits for it would wait 0.1 s for each of three messages.
    assert (time.monotonic() - began_s) / 60 < 2 * usual_s + 0.1
    after = held_by(node.process.pid)
    assert after.rss_mb < before.rss_mb + 32 and after.files <= before.files
    reader.kill()
    reader.wait()
    works(shared)


@pytest.mark.fault("a camera at 500 Hz")
@pytest.mark.fault("a camera process that is killed")
def test_the_newest_of_500_images_a_second_is_tracked_and_memory_stays(shared: Bench) -> None:
    node = shared.processes[0]
    shared.drop_publisher()
    settings = {"width": 160, "height": 120, "rate_hz": 500.0, "period_frames": 60}
    camera = shared.start("synthetic_camera_node", settings)
    try:
        shared.until(lambda: len(shared.tracks) > 20, "tracks of the camera")
        before = held_by(node.process.pid)
        received = float(shared.status_line()[2]["images received"])

        def more() -> bool:
            return float(shared.status_line()[2]["images received"]) > received + 500

        shared.until(more, "500 images more")
        after = held_by(node.process.pid)
        shared.diagnostics.clear()
        values = shared.status_line()[2]
        age_s = time.time() - stamp_to_ns(shared.tracks[-1].header.stamp) / 1e9
    finally:
        camera.process.kill()
        camera.process.wait()
        shared.processes.remove(camera)
    assert int(values["images skipped (newer one came)"]) > 0
    assert float(values["images kept (MB)"]) < 60 * 160 * 120 * 3 / 1e6 + 0.1
    assert after.rss_mb < before.rss_mb + 32 and after.threads <= before.threads
    assert age_s < 5.0, "tracks are of new images, not of a queue"
    shared.catch_up()
    works(shared)


@pytest.mark.fault("two nodes with one name")
def test_a_namesake_is_told_and_forgotten_when_it_is_gone(shared: Bench) -> None:
    node = shared.processes[0]
    other = shared.start(parameters={"autostart": False})
    shared.until(lambda: "another node has this node's name" in node.log, "a warning")
    shared.until(
        lambda: any("another node" in a.status[0].message for a in shared.diagnostics),
        "the diagnostics",
    )
    level, line, _ = shared.status_line()
    assert level >= WARN and "another node has this node's name" in line
    assert other.stop() == 0
    shared.processes.remove(other)
    shared.diagnostics.clear()
    shared.until(
        lambda: shared.diagnostics and "another node" not in shared.status_line()[1],
        "diagnostics without it",
    )
    works(shared)
    assert os.path.exists(f"/proc/{node.process.pid}")
