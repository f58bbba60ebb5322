"""Cameras as they are: compressed, best effort, unstamped, looping; targets; lifecycle."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from geometry_msgs.msg import Point, PointStamped  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from ros_bench import BOX, Bench, scene  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from vision_msgs.msg import Detection2D  # noqa: E402
from visualization_msgs.msg import Marker  # noqa: E402

from dcfst_core.image_messages import rgb_to_image, stamp_to_ns  # noqa: E402
from dcfst_ros.conversions import detection_to_box  # noqa: E402


def test_compressed_images_follow_the_remapped_base_topic(bench: Bench) -> None:
    bench.start(parameters={"image_transport": "compressed"}, remaps={"image": "/front/image_raw"})
    bench.listen()
    publisher = bench.node.create_publisher(CompressedImage, "/front/image_raw/compressed", 10)
    bench.until(lambda: publisher.get_subscription_count() > 0, "a subscriber")
    headers = []
    for index in range(3):
        header = bench.header()
        data = cv2.imencode(".png", scene(index)[..., ::-1])[1].tobytes()
        publisher.publish(CompressedImage(header=header, format="png", data=data))
        if index == 0:
            bench.publish_box(BOX, header)
        bench.answer_to(stamp_to_ns(header.stamp))
        headers.append(header)
    assert [a.header for a in bench.arrays] == headers


def test_a_reliable_tracker_warns_about_a_best_effort_camera(bench: Bench) -> None:
    node = bench.start(parameters={"image_reliability": "reliable"})
    bench.image_publisher(best_effort=True)
    bench.until(lambda: "incompatible reliability" in node.log, "a warning")
    assert "best_effort" in node.log and "Set image_reliability to" in node.log


def test_images_without_stamps_are_tracked(bench: Bench) -> None:
    bench.start()
    bench.listen()
    bench.wait_for_image_subscriber()
    publisher = bench.image_publisher()
    publisher.publish(rgb_to_image(scene(0), Image()))
    bench.spin(0.5)
    bench.publish_box(BOX)
    bench.until(lambda: len(bench.arrays) == 1, "the first track")
    for index in range(1, 4):
        publisher.publish(rgb_to_image(scene(index), Image()))
        bench.until(lambda count=index + 1: len(bench.arrays) == count, "the next track")
    assert all(stamp_to_ns(a.header.stamp) == 0 for a in bench.arrays)


def test_a_box_that_overtakes_its_image_waits_for_it(bench: Bench) -> None:
    node = bench.start(parameters={"init_patience_s": 10.0})
    bench.listen()
    bench.wait_for_image_subscriber()
    header = bench.header()
    bench.publish_box(BOX, header)
    bench.spin(0.5)
    bench.image_publisher().publish(rgb_to_image(scene(0), Image(header=header)))
    assert len(bench.answer_to(stamp_to_ns(header.stamp)).detections) == 1
    assert "refused" not in node.log


def test_a_bag_that_loops_is_told_and_tracked_on(bench: Bench) -> None:
    node = bench.start()
    bench.listen()
    bench.begin(scene(0))
    bench.follow([scene(1), scene(2)])
    bench._next_stamp_ns -= 60_000_000_000
    (answer,) = bench.follow([scene(0)])
    assert len(answer.detections) == 1
    assert "went backwards" in node.log


def test_a_late_second_target_catches_up_without_disturbing_the_first(bench: Bench) -> None:
    bench.start()
    bench.listen()
    first = bench.begin(scene(0))
    later = bench.follow([scene(i) for i in range(1, 6)])
    before = len(bench.arrays)
    bench.publish_box((20.0, 20.0, 30.0, 30.0), later[1].header, "late")
    bench.until(lambda: len(bench.arrays) >= before + 4, "the frames caught up with")
    caught = bench.arrays[before:]
    assert [a.header for a in caught] == [a.header for a in later[1:]]
    assert {d.id for a in caught for d in a.detections} == {"late"}
    (both,) = bench.follow([scene(6)])
    assert {d.id for d in both.detections} == {"target", "late"}
    assert first.frame_id == both.header.frame_id


def test_predicted_tracks_are_stamped_now_and_tracks_are_not(bench: Bench) -> None:
    bench.start(parameters={"prediction_horizon_s": 10.0})
    bench.listen()
    predicted: list[Detection2D] = []
    bench.node.create_subscription(Detection2D, "/tracker/track_predicted", predicted.append, 10)
    bench.wait_for_image_subscriber()
    bench._next_stamp_ns = time.time_ns() - 500_000_000
    bench.begin(scene(0))
    index = 0
    while len(predicted) < 3 and index < 60:  # it begins when the subscription is known
        index += 1
        (answer,) = bench.follow([scene(index % 20)])
        bench.spin(0.05)
    moved = predicted[-1]
    ahead_s = (stamp_to_ns(moved.header.stamp) - stamp_to_ns(answer.header.stamp)) / 1e9
    assert 0.0 < ahead_s < 10.0
    assert moved.header.frame_id == answer.header.frame_id
    assert moved.bbox.size_x == answer.detections[0].bbox.size_x


def test_the_synthetic_camera_and_its_truth(bench: Bench) -> None:
    truths: list[Detection2D] = []
    bench.start()
    bench.listen()
    bench.node.create_subscription(
        Detection2D, "/synthetic_camera/ground_truth", truths.append, 100
    )
    bench.start(
        "synthetic_camera_node",
        {"width": 160, "height": 120, "rate_hz": 15.0, "period_frames": 60},
    )
    bench.until(lambda: len(bench.tracks) >= 12, "tracks")
    truth_at = {stamp_to_ns(t.header.stamp): t for t in truths}
    track = bench.tracks[0]
    assert track.bbox == truth_at[stamp_to_ns(track.header.stamp)].bbox
    assert track.header.frame_id == "synthetic_camera"


def change_state(bench: Bench, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bench.call(ChangeState, "/tracker/change_state", request).success


def state_of(bench: Bench) -> str:
    return bench.call(GetState, "/tracker/get_state", GetState.Request()).current_state.label


def resources(pid: int) -> tuple[float, int]:
    """Resident memory in MB and the number of threads."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(fields["VmRSS"].split()[0]) / 1024, int(fields["Threads"])


@pytest.mark.parametrize("rounds", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_lifecycle_transitions_leak_nothing(bench: Bench, rounds: int) -> None:
    node = bench.start(parameters={"autostart": False})
    configure, cleanup = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
    activate, deactivate = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE
    bench.listen()
    assert state_of(bench) == "unconfigured"
    assert not change_state(bench, activate)  # not in this order
    bench.image_publisher()

    def one_round(with_target: bool) -> None:
        assert change_state(bench, configure)
        assert change_state(bench, activate)
        if with_target:
            bench.begin(scene(0))
        assert change_state(bench, deactivate)
        assert change_state(bench, activate)  # again, without a new configuration
        assert change_state(bench, deactivate)
        assert change_state(bench, cleanup)

    for _ in range(3):
        one_round(with_target=True)
    memory_before, threads_before = resources(node.process.pid)
    for index in range(rounds):
        one_round(with_target=index % 10 == 0)
    memory_after, threads_after = resources(node.process.pid)
    assert threads_after <= threads_before
    # The network's 60 MB come and go every round: a leak of it would be gigabytes.
    assert memory_after < memory_before + 80.0
    assert change_state(bench, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert node.stop() == 0
    assert "Traceback" not in node.log


def test_clicks_in_pixels_and_on_the_plane_give_the_box(bench: Bench) -> None:
    node = bench.start("click_init_node", {"init_id": "cup"})
    boxes: list[Detection2D] = []
    planes: list[Marker] = []
    bench.node.create_subscription(Detection2D, "tracker/init_box", boxes.append, 10)
    latched = bench.node.create_subscription(Marker, "/click_init/click_plane", planes.append, 1)
    pixels = bench.node.create_publisher(Point, "image_mouse_left", 10)
    points = bench.node.create_publisher(PointStamped, "clicked_point", 10)
    infos = bench.node.create_publisher(CameraInfo, "camera_info", 10)
    for publisher in (pixels, points, infos):
        bench.until(lambda p=publisher: p.get_subscription_count() > 0, "the node")
    bench.until(lambda: latched.get_publisher_count() > 0, "the plane's publisher")

    for x, y in ((100.0, 50.0), (40.0, 90.0)):
        pixels.publish(Point(x=x, y=y))
    bench.until(lambda: len(boxes) == 1, "a box from pixels")
    assert detection_to_box(boxes[0]) == (40.5, 50.5, 60.0, 40.0)
    assert boxes[0].id == "cup" and stamp_to_ns(boxes[0].header.stamp) == 0

    clicked = PointStamped(header=Header(frame_id="cam_optical"), point=Point(x=0.0, y=0.0, z=1.0))
    points.publish(clicked)
    bench.until(lambda: "no CameraInfo" in node.log, "a warning")

    info = CameraInfo(header=Header(frame_id="cam_optical"), width=640, height=480)
    info.p = [500.0, 0.0, 319.5, 0.0, 0.0, 500.0, 239.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    infos.publish(info)
    bench.until(lambda: planes, "the click plane")
    (plane,) = planes
    assert plane.header.frame_id == "cam_optical" and 0 < plane.color.a < 0.1
    assert all(p.z == 1.0 for p in plane.points) and len(plane.points) == 12
    for x, y in ((-0.1, -0.2), (0.3, 0.1)):
        clicked.point = Point(x=x, y=y, z=1.0)
        points.publish(clicked)
    bench.until(lambda: len(boxes) == 2, "a box from the plane")
    assert detection_to_box(boxes[1]) == pytest.approx((270.0, 140.0, 200.0, 150.0))

    points.publish(PointStamped(header=Header(frame_id="map")))
    bench.until(lambda: "'map'" in node.log, "a message about the frame")
