"""Cameras as they are: compressed, best effort, unstamped, looping; targets."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from ros_bench import BOX, Bench, scene  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from vision_msgs.msg import Detection2D  # noqa: E402

from dcfst_core.evaluation.synthetic import SyntheticClip  # noqa: E402
from dcfst_core.media.image_messages import rgb_to_image, stamp_to_ns  # noqa: E402
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
        bench.answer_to(stamp_to_ns(header.stamp), seen=True)
        headers.append(header)
    assert [a.header for a in bench.arrays if a.detections] == headers


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
    bench.until(lambda: len(bench.tracks) == 1, "the first track")
    for index in range(1, 4):
        publisher.publish(rgb_to_image(scene(index), Image()))
        bench.until(lambda count=index + 1: len(bench.tracks) == count, "the next track")
    assert all(stamp_to_ns(a.header.stamp) == 0 for a in bench.arrays)


def test_a_box_that_overtakes_its_image_waits_for_it(bench: Bench) -> None:
    node = bench.start(parameters={"init_patience_s": 10.0})
    bench.listen()
    bench.wait_for_image_subscriber()
    header = bench.header()
    bench.publish_box(BOX, header)
    bench.spin(0.5)
    bench.image_publisher().publish(rgb_to_image(scene(0), Image(header=header)))
    assert len(bench.answer_to(stamp_to_ns(header.stamp), seen=True).detections) == 1
    assert "refused" not in node.log


@pytest.mark.fault("stamps that go backwards")
def test_a_bag_that_loops_is_told_and_tracked_on(shared: Bench) -> None:
    node = shared.processes[0]
    shared.begin(scene(0))
    shared.follow([scene(1), scene(2)])
    shared._next_stamp_ns -= 60_000_000_000
    (answer,) = shared.follow([scene(0)])
    assert len(answer.detections) == 1
    assert "went backwards" in node.log


def test_a_late_second_target_catches_up_without_disturbing_the_first(shared: Bench) -> None:
    bench = shared
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
    bench.wait_until_heard()
    bench.start(
        "synthetic_camera_node",
        {"width": 160, "height": 120, "rate_hz": 15.0, "period_frames": 60},
    )
    bench.until(lambda: len(bench.tracks) >= 12, "tracks")
    # The first truths may be published before this process is known to the camera.
    bench.until(lambda: len(truths) >= 3, "truths")
    clip = SyntheticClip(frames=60, size=(160, 120), target=(16, 20), period=60)
    for message in (bench.tracks[0], *truths):
        box = detection_to_box(message)
        assert np.abs(clip.boxes_xywh() - box).max(axis=1).min() < 1e-3, box
        assert message.header.frame_id == "synthetic_camera"
    stamps = {stamp_to_ns(message.header.stamp) for message in bench.tracks}
    assert stamps & {stamp_to_ns(message.header.stamp) for message in truths}
