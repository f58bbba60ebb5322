"""What a subscriber may believe: states, heartbeats and diagnostics in every situation."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from ros_bench import BLIND, BOX, Bench, scene  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

from dcfst_ros.health import ERROR, OK, WARN  # noqa: E402
from dcfst_ros.qos import state_qos  # noqa: E402

# Frames of a test have old stamps; late is not what is looked for here.
QUICK = {"diagnostics_period_s": 0.2, "latency_warn_ms": 0.0, "latency_error_ms": 0.0}
SILENCE = {"no_image_lost_s": 0.4, "no_image_timeout_s": 1.0, **QUICK}


def late(bench: Bench, topic: str = "/tracker/state", wanted: int = 1) -> list[DiagnosticStatus]:
    """What somebody hears who subscribes only now."""
    heard: list[DiagnosticStatus] = []
    subscription = bench.node.create_subscription(
        DiagnosticStatus, topic, heard.append, state_qos()
    )
    bench.until(lambda: len(heard) >= wanted, f"{wanted} latched messages on {topic}")
    bench.spin(0.5)
    bench.node.destroy_subscription(subscription)
    return heard


def settled(bench: Bench, level: int, text: str) -> None:
    """The diagnostics say so, and keep saying so."""
    bench.until(
        lambda: (
            bench.diagnostics
            and bench.status_line()[0] == level
            and text in bench.status_line()[1]
        ),
        f"diagnostics of level {level} with {text!r}",
    )
    bench.diagnostics.clear()
    bench.until(lambda: len(bench.diagnostics) >= 5, "more diagnostics")
    lines = {(s.level, s.message) for array in bench.diagnostics for s in array.status[:1]}
    assert len(lines) == 1, lines


def heartbeat(bench: Bench) -> dict[str, tuple[str, dict[str, str]]]:
    """What somebody hears on ~/status who subscribes only now, by target."""
    heard: list[DiagnosticArray] = []
    subscription = bench.node.create_subscription(
        DiagnosticArray, "/tracker/status", heard.append, QoSProfile(depth=1)
    )
    bench.until(lambda: heard, "a heartbeat", timeout_s=10.0)
    bench.node.destroy_subscription(subscription)
    return {s.name: (s.message, {v.key: v.value for v in s.values}) for s in heard[-1].status}


def start_cup(bench: Bench) -> None:
    bench.wait_for_image_subscriber()
    header = bench.publish_frame(scene(0))
    bench.publish_box(BOX, header, "cup")
    bench.result_of("cup", "started")


def test_a_paused_and_a_deactivated_tracker_say_idle(bench: Bench) -> None:
    bench.start(parameters=QUICK)
    bench.listen()
    start_cup(bench)
    settled(bench, OK, "tracking")
    assert [s.message for s in late(bench) if s.name == "cup"] == ["tracking"]

    bench.call(SetBool, "/tracker/enable", SetBool.Request(data=False))
    bench.until(lambda: bench.state_names("cup")[-1] == "idle", "the pause in the state")
    settled(bench, WARN, "paused")
    assert [s.message for s in late(bench) if s.name == "cup"] == ["idle"]
    assert heartbeat(bench)["cup"][1]["reason"] == "paused"
    # A box that comes meanwhile is refused, not tracked.
    bench.publish_box(BOX, bench.publish_frame(scene(1)), "dog")
    assert "paused" in bench.result_of("dog", "refused").message
    bench.call(SetBool, "/tracker/enable", SetBool.Request(data=True))
    (answer,) = bench.follow([scene(2)])
    assert [d.id for d in answer.detections] == ["cup"]
    assert bench.state_names("cup") == ["tracking", "idle", "tracking"]
    assert "dog" not in heartbeat(bench)

    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
    assert bench.call(ChangeState, "/tracker/change_state", request).success
    assert [s.message for s in late(bench, wanted=2) if s.name == "cup"] == ["idle"]
    settled(bench, OK, "inactive")
    assert heartbeat(bench) == {}
    assert bench.result_of("cup").message == "released: deactivated"


@pytest.mark.fault("a camera that falls silent")
def test_targets_of_a_silent_camera_are_lost_until_it_speaks(bench: Bench) -> None:
    bench.start(parameters=SILENCE)
    bench.listen()
    start_cup(bench)
    bench.until(lambda: bench.state_names("cup")[-1] == "lost", "the silence in the state")
    lost = next(s for s in bench.states if s.message == "lost")
    assert {v.key: v.value for v in lost.values}["reason"] == "no usable image for 0.4 s"
    bench.drop_publisher()
    settled(bench, ERROR, "lost: cup; no image on /image: no publishers")
    message, values = heartbeat(bench)["cup"]
    assert message == "lost" and values["reason"].startswith("no usable image")
    bench.wait_for_image_subscriber()
    (answer,) = bench.follow([scene(1)])
    assert [d.id for d in answer.detections] == ["cup"]
    bench.until(lambda: "tracking" in bench.state_names("cup")[2:], "the target to be back")


def test_the_worst_target_is_in_the_diagnostics(bench: Bench) -> None:
    bench.start(parameters={**BLIND, **QUICK})
    bench.listen()
    start_cup(bench)
    bench.follow([scene(i) for i in range(1, 6)])
    settled(bench, ERROR, "lost: cup")
    values = bench.status_line()[2]
    assert values["state of cup"] == "lost"
    assert bench.diagnostics[-1].status[0].hardware_id.startswith("cpu")


def test_heartbeats_and_late_states_of_several_targets(shared: Bench) -> None:
    header = shared.publish_frame(scene(0))
    for index, name in enumerate(("a", "b", "c")):
        shared.publish_box((20.0 + 30 * index, 30.0, 30.0, 24.0), header, name)
        shared.result_of(name, "started")
    shared.publish_box((0.0, 0.0, 0.0, 0.0), target_id="b")
    shared.until(lambda: shared.state_names("b")[-1:] == ["idle"], "b to be released")
    (answer,) = shared.follow([scene(1)])
    found = heartbeat(shared)
    assert set(found) == {"a", "c"}
    message, values = found["a"]
    stamp = answer.header.stamp
    assert message == "tracking" and values["stamp"] == f"{stamp.sec}.{stamp.nanosec:09d}"
    box = next(d for d in answer.detections if d.id == "a").bbox
    assert values["box"].split(", ")[2] == f"{box.size_x:.2f}" and float(values["score"]) > 0
    told = [(s.name, s.message) for s in late(shared, wanted=4)]
    assert {("a", "tracking"), ("b", "idle"), ("c", "tracking")} <= set(told)
    assert len({name for name, _ in told}) == len(told), "one, the newest, of each"
    # The heartbeat comes every second also when no image does.
    shared.heartbeats.clear()
    began = time.monotonic()
    shared.until(lambda: len(shared.heartbeats) >= 3, "three heartbeats")
    assert 1.0 < time.monotonic() - began < 10.0
