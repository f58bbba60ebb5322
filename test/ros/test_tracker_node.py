"""The tracker node over DDS between processes: what goes in, what comes out."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from ros_bench import BLIND, BOX, FAST, Bench, scene  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402

from dcfst_core import Tracker, TrackerConfig, TrackState  # noqa: E402
from dcfst_core.media.image_messages import rgb_to_image, stamp_to_ns  # noqa: E402
from dcfst_core.network.checkpoint import load_model  # noqa: E402
from dcfst_ros.conversions import detection_to_box  # noqa: E402


def core_config() -> TrackerConfig:
    prefix = "tracker."
    values = {k.removeprefix(prefix): v for k, v in FAST.items() if k.startswith(prefix)}
    return TrackerConfig.from_dict(values)


def test_boxes_equal_the_librarys_bit_for_bit_and_headers_are_unchanged(shared: Bench) -> None:
    frames = [scene(i) for i in range(8)]
    header = shared.begin(frames[0])
    first = shared.answer_to(stamp_to_ns(header.stamp), seen=True)
    answers = [first, *shared.follow(frames[1:])]

    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the node under test runs with cpu_threads 1
    try:
        tracker = Tracker(load_model(shared.weights), core_config(), "cpu")
        expected = [tracker.init(frames[0], BOX)]
        expected += [tracker.update(frame) for frame in frames[1:]]
    finally:
        torch.set_num_threads(threads)
    for answer, track in zip(answers, expected, strict=True):
        (detection,) = answer.detections
        box = detection.bbox
        x, y, w, h = track.box_xywh
        assert (box.size_x, box.size_y) == (w, h)
        assert (box.center.position.x, box.center.position.y) == (x + w / 2, y + h / 2)
        assert detection.results[0].hypothesis.score == track.score
        assert detection.id == "target"
        assert detection.header == answer.header
    assert answers[0].header == header and header.frame_id == "camera_optical"
    shared.until(lambda: len(shared.tracks) == len(frames), "one track for each frame")
    assert [t.bbox for t in shared.tracks] == [a.detections[0].bbox for a in answers]
    assert shared.state_names() == ["tracking"]


@pytest.mark.parametrize(
    ("camera_first", "best_effort"), [(True, True), (False, True), (False, False)]
)
def test_a_camera_may_start_before_or_after_the_node(
    bench: Bench, camera_first: bool, best_effort: bool
) -> None:
    if camera_first:
        bench.image_publisher(best_effort=best_effort)
    node = bench.start()
    bench.listen()
    bench.until(lambda: "waiting for images" in node.log, "an active node")
    bench.image_publisher(best_effort=best_effort)
    bench.begin(scene())
    wanted = "best_effort" if best_effort else "reliable"
    assert f"subscribed to /image ({wanted})" in node.log


@pytest.mark.fault("a camera that dies and comes back with another quality of service")
def test_a_camera_dies_and_comes_back_with_another_reliability(bench: Bench) -> None:
    node = bench.start(parameters={"no_image_timeout_s": 1.0})
    bench.listen()
    bench.image_publisher(best_effort=False)
    bench.begin(scene(0))
    bench.drop_publisher()
    bench.until(lambda: "no image on /image" in node.log, "a warning")
    assert "no publishers" in node.log and "--ros-args -r image:=" in node.log
    bench.image_publisher(best_effort=True)
    bench.wait_for_image_subscriber()
    (answer,) = bench.follow([scene(1)])
    assert [d.id for d in answer.detections] == ["target"]
    assert "subscribed to /image (best_effort)" in node.log
    assert node.stop() == 0


@pytest.mark.fault("a target lost on the first frame")
def test_a_lost_target_is_not_published_as_a_detection(bench: Bench) -> None:
    bench.start(parameters=BLIND)
    bench.listen()
    bench.begin(scene(0))
    answers = bench.follow([scene(i) for i in range(1, 6)])
    assert [len(a.detections) for a in answers] == [0] * 5
    assert bench.state_names() == ["idle", "tracking", "lost"]
    assert len(bench.tracks) == 1  # the init frame itself
    lost = bench.states[-1]
    values = {item.key: item.value for item in lost.values}
    assert values["stamp"].startswith(str(answers[0].header.stamp.sec))
    assert 0.0 <= float(values["score"]) <= 1.0


def test_a_late_subscriber_learns_the_present_state(bench: Bench) -> None:
    bench.start()
    bench.wait_for_image_subscriber()
    header = bench.publish_frame(scene())
    bench.publish_box(BOX, header, "cup")
    bench.spin(2.0)
    bench.listen()
    bench.until(lambda: bench.state_names("cup") == ["tracking"], "the latched state")


def test_a_past_stamp_starts_on_its_own_frame_and_catches_up(shared: Bench) -> None:
    node = shared.processes[0]
    shared.wait_for_image_subscriber()
    # One by one: of a burst the node may lose an image.
    headers = [answer.header for answer in shared.follow([scene(i) for i in range(10)])]
    shared.arrays.clear()  # the answers before there was a target
    shared.publish_box(BOX, headers[2], "late")
    last = shared.answer_to(stamp_to_ns(headers[-1].stamp))
    stamps = [stamp_to_ns(a.header.stamp) for a in shared.arrays]
    assert stamps == [stamp_to_ns(h.stamp) for h in headers[2:]]
    assert [d.id for d in last.detections] == ["late"]
    shared.until(lambda: "7 frames back, caught up through 7" in node.log, "a report")


@pytest.mark.fault("boxes from the past and from the future")
def test_too_old_and_future_boxes_are_refused_and_the_target_kept(bench: Bench) -> None:
    node = bench.start(parameters={"buffer_frames": 5})
    bench.listen()
    first = bench.begin(scene(0))
    bench.follow([scene(i) for i in range(1, 8)])
    bench.publish_box((5.0, 5.0, 20.0, 20.0), first)
    future = bench.header()
    future.stamp.sec += 100
    bench.publish_box((5.0, 5.0, 20.0, 20.0), future)
    bench.until(lambda: "too old" in node.log, "a refusal of the old box")
    bench.until(lambda: "lies in the future" in node.log, "a refusal of the future box")
    (answer,) = bench.follow([scene(8)])
    x, _, w, _ = detection_to_box(answer.detections[0])
    assert (
        w == pytest.approx(BOX[2], abs=0.1) and x > 30.0
    )  # still the first target, not the refused ones
    assert bench.state_names() == ["idle", "tracking"]


def test_release_reset_replace_and_pause(shared: Bench) -> None:
    node = shared.processes[0]
    shared.begin(scene(0))
    shared.publish_box((20.0, 20.0, 30.0, 30.0), target_id="b")
    shared.until(lambda: "tracking" in shared.state_names("b"), "a second target")
    (answer,) = shared.follow([scene(1)])
    assert {d.id for d in answer.detections} == {"target", "b"}

    shared.publish_box((0.0, 0.0, 0.0, 0.0), target_id="b")  # zero size releases
    shared.until(lambda: shared.state_names("b")[-1] == "idle", "b to be released")
    (answer,) = shared.follow([scene(2)])
    assert [d.id for d in answer.detections] == ["target"]

    shared.publish_box((30.0, 30.0, 50.0, 20.0))  # a box for a held id replaces it
    shared.until(lambda: node.log.count("target: started") == 2, "the target to be replaced")
    (answer,) = shared.follow([scene(3)])
    assert answer.detections[0].bbox.size_x == pytest.approx(50.0, abs=0.1)

    assert shared.call(SetBool, "/tracker/enable", SetBool.Request(data=False)).success
    count = len(shared.arrays)
    for index in range(3):
        shared.publish_frame(scene(index))
    shared.spin(1.0)
    assert len(shared.arrays) == count
    assert shared.call(SetBool, "/tracker/enable", SetBool.Request(data=True)).success
    (answer,) = shared.follow([scene(4)])
    assert [d.id for d in answer.detections] == ["target"]

    response = shared.call(Trigger, "/tracker/reset", Trigger.Request())
    assert response.success and "released 1" in response.message
    shared.until(lambda: shared.state_names()[-1] == "idle", "the target to be released")


@pytest.mark.fault("images that contradict themselves")
def test_garbage_images_are_warned_about_and_tracking_goes_on(shared: Bench) -> None:
    node = shared.processes[0]
    shared.begin(scene(0))
    publisher = shared.image_publisher()
    good = rgb_to_image(scene(1), Image())

    def last_error() -> str:
        statuses = [message.status[0] for message in shared.diagnostics]
        return next(
            (v.value for s in statuses[-1:] for v in s.values if v.key == "last error"), ""
        )

    for change, expected in (
        ({"step": 7}, "expected step >= 480"),
        ({"data": good.data[:1000]}, "expected at least 57600 bytes"),
        ({"encoding": "holographic"}, "'holographic' is not supported"),
        ({"width": 0, "height": 0}, "at least 1x1"),
    ):
        bad = rgb_to_image(scene(1), Image(header=shared.header()))
        for name, value in change.items():
            setattr(bad, name, value)
        # Nothing newer may come before the error: the newest frame wins, and a frame that was
        # passed over is never looked at.
        publisher.publish(bad)
        shared.until(lambda text=expected: text in last_error(), f"the error {expected!r}")
        shared.follow([scene(1)])
    # In the log, warnings of a kind are throttled: the first is there, the others are not.
    assert node.log.count("image ignored") == 1 and "expected step >= 480" in node.log
    assert len(shared.follow([scene(2)])[0].detections) == 1


@pytest.mark.fault("a camera that changes its size")
def test_a_change_of_size_releases_the_targets_with_a_warning(shared: Bench) -> None:
    node = shared.processes[0]
    shared.begin(scene(0))
    shared.publish_frame(scene(0, width=320, height=240))
    shared.until(lambda: "changed from 160x120 to 320x240" in node.log, "a warning")
    shared.until(lambda: shared.state_names()[-1] == "idle", "the target to be released")
    header = shared.publish_frame(scene(1, width=320, height=240))
    shared.publish_box(BOX, header)
    assert len(shared.answer_to(stamp_to_ns(header.stamp), seen=True).detections) == 1


def test_two_trackers_in_two_namespaces(bench: Bench) -> None:
    for name in ("left", "right"):
        bench.start(extra=("-r", f"__ns:=/{name}"))
        bench.listen(f"/{name}/tracker")
        bench.wait_for_image_subscriber(f"/{name}/image")
    for name in ("left", "right"):
        header = bench.publish_frame(scene(0), f"/{name}/image")
        bench.publish_box(BOX, header, name, tracker=f"/{name}/tracker")
        answer = bench.answer_to(stamp_to_ns(header.stamp), seen=True)
        assert [d.id for d in answer.detections] == [name]
    assert not bench.state_names("target")[2:]  # one idle each, nothing crossed over


@pytest.mark.fault("20 targets, and more")
def test_twenty_targets_at_once_and_no_more(shared: Bench) -> None:
    node = shared.processes[0]
    shared.wait_for_image_subscriber()
    header = shared.publish_frame(scene(0))
    ids = [f"t{i}" for i in range(21)]
    for index, name in enumerate(ids):
        shared.publish_box((4.0 + 6 * index, 10.0 + 3 * index, 24.0, 20.0), header, name)
    shared.until(lambda: "max_targets = 20" in node.log, "the 21st to be refused")
    (answer,) = shared.follow([scene(1)])
    assert sorted(d.id for d in answer.detections) == sorted(ids[:20])


def test_the_debug_image_is_drawn_only_when_subscribed(shared: Bench) -> None:
    overlays: list[Image] = []
    shared.begin(scene(0))
    subscription = shared.node.create_subscription(
        Image, "/tracker/debug_image", overlays.append, 10
    )
    shared.until(lambda: shared.node.count_publishers("/tracker/debug_image") == 1, "the topic")
    index = 1
    while not overlays and index < 40:
        shared.follow([scene(index % 8)])
        shared.spin(0.1)
        index += 1
    assert overlays[0].encoding == "rgb8" and overlays[0].header.frame_id == "camera_optical"
    drawn = np.frombuffer(overlays[0].data, np.uint8).reshape(120, 160, 3)
    assert any((drawn != scene(i)).any(axis=2).mean() > 0.01 for i in range(8))
    shared.node.destroy_subscription(subscription)


def test_diagnostics_say_rates_latency_stages_and_state(bench: Bench) -> None:
    bench.start(parameters={"diagnostics_period_s": 0.3})
    bench.listen()
    bench.begin(scene(0))

    def values() -> dict[str, str]:
        status = bench.diagnostics[-1].status[0]
        return {item.key: item.value for item in status.values} | {"message": status.message}

    for index in range(1, 200):
        bench.follow([scene(index % 8)])
        if bench.diagnostics and "stage trunk (ms)" in values():
            break
    found = values()
    assert float(found["input rate (Hz)"]) > 0 and float(found["output rate (Hz)"]) > 0
    assert float(found["receive-to-publish p95 (ms)"]) > 0
    assert float(found["stage trunk (ms)"]) > 0
    assert found["device"].startswith("cpu") and found["state of target"] == "tracking"
    assert found["last error"] == ""


def test_states_are_what_the_core_says() -> None:
    from dcfst_ros.target_status import STATE_LEVELS

    assert set(STATE_LEVELS) == set(TrackState)
