"""A real ROS 2 bench: nodes in their own processes, one test node in this one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from node_process import NodeProcess, ros_arguments
from rclpy.executors import SingleThreadedExecutor
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger
from vision_msgs.msg import Detection2D, Detection2DArray

from dcfst_core.media.image_messages import rgb_to_image, stamp_to_ns
from dcfst_ros.conversions import fill_bounding_box
from dcfst_ros.qos import state_qos

# A small tracker: these tests are about the node. Threshold 0 sees the target in every frame.
FAST = {
    "tracker.patch_size": 96,
    "tracker.grid_size": 7,
    "tracker.box_refinement": False,
    "tracker.update_interval": 1000,
    "tracker.lost_threshold": 0.0,
    "tracker.tracking_threshold": 0.0,
    "cpu_threads": 1,
    # Frames come when a test sends them; those about silence set it.
    "no_image_lost_s": 0.0,
}
# No target is ever seen again: it is in doubt, or lost at once.
DOUBTING = {"tracker.learning_threshold": 1.0, "tracker.tracking_threshold": 1.0}
BLIND = {**DOUBTING, "tracker.lost_threshold": 1.0, "tracker.lost_after": 1}
WAIT_S = 180.0  # generous: importing PyTorch takes its time on a busy machine
BOX = (60.0, 40.0, 40.0, 30.0)


def scene(index: int = 0, width: int = 160, height: int = 120) -> np.ndarray:
    """A textured frame in which a textured patch moves two pixels a frame."""
    rng = np.random.default_rng(5)
    frame = np.kron(rng.integers(0, 120, (height // 8, width // 8, 3)), np.ones((8, 8, 1)))
    patch = np.kron(rng.integers(120, 255, (6, 8, 3)), np.ones((5, 5, 1)))
    x, y = int(BOX[0]) + 2 * index, int(BOX[1]) + index
    frame[y : y + 30, x : x + 40] = patch
    return frame.astype(np.uint8)


class Bench:
    """Start nodes, publish images and boxes, collect what comes back."""

    def __init__(self, domain: int, folder: Path, weights: Path) -> None:
        self.folder = folder
        self.weights = weights
        self.env = dict(os.environ, ROS_DOMAIN_ID=str(domain), RCUTILS_LOGGING_BUFFERED_STREAM="0")
        self.env["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("bench", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.processes: list[NodeProcess] = []
        self.tracks: list[Detection2D] = []
        self.arrays: list[Detection2DArray] = []
        self.states: list[DiagnosticStatus] = []
        self.results: list[DiagnosticStatus] = []
        self.heartbeats: list[DiagnosticArray] = []
        self.diagnostics: list[DiagnosticArray] = []
        self._heard = False
        self._publishers: dict[str, Any] = {}
        self._next_stamp_ns = time.time_ns()

    def start(
        self,
        module: str = "tracker_node",
        parameters: dict[str, Any] | None = None,
        remaps: dict[str, str] | None = None,
        fast: bool = True,
        extra: tuple[str, ...] = (),
        from_shell: bool = False,
    ) -> NodeProcess:
        """Start a node; trackers get the small test network unless told otherwise."""
        values: dict[str, Any] = {}
        if module == "tracker_node":
            values = {"weights": str(self.weights), "device": "cpu", **(FAST if fast else {})}
        arguments = ros_arguments({**values, **(parameters or {})}, remaps or {}, list(extra))
        log = self.folder / f"{module}_{len(self.processes)}.log"
        self.processes.append(NodeProcess(module, arguments, self.env, log, from_shell))
        return self.processes[-1]

    def listen(self, tracker: str = "/tracker") -> None:
        """Collect everything a tracker publishes."""
        add = self.node.create_subscription
        add(DiagnosticStatus, f"{tracker}/state", self.states.append, state_qos())
        add(DiagnosticStatus, f"{tracker}/init_result", self.results.append, state_qos())
        add(DiagnosticArray, f"{tracker}/status", self.heartbeats.append, state_qos())
        add(Detection2D, f"{tracker}/track", self.tracks.append, 100)
        add(Detection2DArray, f"{tracker}/tracks", self.arrays.append, 100)
        add(DiagnosticArray, "/diagnostics", self._take_diagnostics, 10)

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        self._heard = True
        self.diagnostics.append(message)

    def wait_until_heard(self) -> None:
        """Wait until what the tracker publishes arrives here: it knows nobody at first.

        Subscriptions are announced in their order, and that to the diagnostics is the last one.
        """
        self.until(lambda: self._heard, "the tracker's diagnostics")

    def image_publisher(self, topic: str = "image", best_effort: bool = False) -> Any:
        """A camera in this process; calling again gives the same one."""
        if topic not in self._publishers:
            choices = (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT)
            qos = QoSProfile(depth=10, reliability=choices[best_effort])
            self._publishers[topic] = self.node.create_publisher(Image, topic, qos)
        return self._publishers[topic]

    def drop_publisher(self, topic: str = "image") -> None:
        """The camera dies."""
        self.node.destroy_publisher(self._publishers.pop(topic))

    def catch_up(self) -> None:
        """After another camera, whose stamps are the system's: ours would be older than its last,
        and a box that overtakes its image too old."""
        self._next_stamp_ns = max(self._next_stamp_ns, time.time_ns())

    def header(self, frame_id: str = "camera_optical") -> Header:
        """A header with the next stamp, 33 ms after the one before."""
        self._next_stamp_ns += 33_000_000
        header = Header(frame_id=frame_id)
        header.stamp.sec, header.stamp.nanosec = divmod(self._next_stamp_ns, 1_000_000_000)
        return header

    def publish_frame(self, frame: np.ndarray, topic: str = "image") -> Header:
        """Publish one RGB frame; returns its header."""
        header = self.header()
        self.image_publisher(topic).publish(rgb_to_image(frame, Image(header=header)))
        return header

    def publish_box(
        self,
        box: tuple[float, float, float, float],
        header: Header | None = None,
        target_id: str = "",
        tracker: str = "/tracker",
    ) -> None:
        """Publish an init box; waits until the tracker listens."""
        publisher = self.box_publisher(tracker)
        detection = Detection2D(header=header or Header(), id=target_id)
        fill_bounding_box(box, detection.bbox)
        publisher.publish(detection)

    def box_publisher(self, tracker: str = "/tracker") -> Publisher:
        """A publisher of boxes that the tracker hears; a test on old stamps makes it before."""
        topic = f"{tracker}/init_box"
        is_new = topic not in self._publishers
        if is_new:
            self._publishers[topic] = self.node.create_publisher(Detection2D, topic, 100)
        publisher = self._publishers[topic]
        self.until(lambda: publisher.get_subscription_count() > 0, "a tracker that takes boxes")
        if is_new:
            self.spin(0.5)  # the other end may match a moment later, and would miss the box
        return publisher

    def wait_for_image_subscriber(self, topic: str = "image", count: int = 1) -> None:
        """Wait until somebody receives the images."""
        publisher = self.image_publisher(topic)
        self.until(lambda: publisher.get_subscription_count() >= count, "an image subscriber")
        if publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT:
            self.spin(0.5)  # the other end may match a moment later, and would miss an image

    def follow(self, frames: list[np.ndarray], topic: str = "image") -> list[Detection2DArray]:
        """Publish frame by frame, each after the answer to the one before."""
        answers = []
        for frame in frames:
            stamp_ns = stamp_to_ns(self.publish_frame(frame, topic).stamp)
            answers.append(self.answer_to(stamp_ns))
        return answers

    def answer_to(self, stamp_ns: int, seen: bool = False) -> Detection2DArray:
        """The `tracks` message of one image, or with `seen` the first with targets in it.

        An image that comes before its box is answered twice: nothing is followed yet, and then.
        """

        def found() -> list[Detection2DArray]:
            answers = [a for a in self.arrays if stamp_to_ns(a.header.stamp) == stamp_ns]
            return [a for a in answers if a.detections or not seen]

        self.until(found, "an answer to the image")
        return found()[0]

    def result_of(self, target_id: str = "target", text: str = "") -> DiagnosticStatus:
        """The newest answer to a box for that id, once it says so."""

        def found() -> list[DiagnosticStatus]:
            named = [result for result in self.results if result.name == target_id]
            return [result for result in named[-1:] if text in result.message]

        self.until(found, f"the answer {text!r} to the box for {target_id!r}")
        return found()[0]

    def status_line(self) -> tuple[int, str, dict[str, str]]:
        """Level, message and values of the newest diagnostics; waits where there are none."""
        self.until(lambda: self.diagnostics, "diagnostics")
        status = self.diagnostics[-1].status[0]
        values = {item.key: item.value for item in status.values}
        return int.from_bytes(status.level, "little"), status.message, values

    def begin(self, frame: np.ndarray, box: tuple[float, float, float, float] = BOX) -> Header:
        """Publish a frame and its box, and wait until the target is followed."""
        self.wait_for_image_subscriber()
        self.wait_until_heard()
        header = self.publish_frame(frame)
        self.publish_box(box, header)
        self.answer_to(stamp_to_ns(header.stamp), seen=True)
        self.result_of(text="started")
        return header

    def fresh(self) -> NodeProcess:
        """The one running tracker as if it had just started; what it said before is forgotten."""
        self.call(SetBool, "/tracker/enable", SetBool.Request(data=True))
        before = len(self.states)
        held = self.call(Trigger, "/tracker/reset", Trigger.Request()).message
        count = int(held.split()[1])
        self.until(
            lambda: sum(s.message == "idle" for s in self.states[before:]) >= count,
            f"{count} targets to be released",
        )
        for seen in (
            *(self.states, self.tracks, self.arrays),
            *(self.diagnostics, self.results, self.heartbeats),
        ):
            seen.clear()
        self.processes[0].mark_log()
        return self.processes[0]

    def state_names(self, target_id: str = "target") -> list[str]:
        """The states of one target in the order in which they came."""
        return [s.message for s in self.states if s.name == target_id]

    def call(self, service_type: Any, name: str, request: Any) -> Any:
        """Call a service and wait for its response."""
        client = self.node.create_client(service_type, name)
        self.until(client.service_is_ready, f"the service {name}")
        future = client.call_async(request)
        self.until(future.done, f"a response of {name}")
        self.node.destroy_client(client)
        return future.result()

    def spin(self, seconds: float) -> None:
        """Spin for a while (only where the absence of something is looked for)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> None:
        """Spin until a condition holds; a time-out shows the nodes' logs."""
        end = time.monotonic() + timeout_s
        while not condition():
            dead = [p for p in self.processes if p.process.poll() not in (None, 0)]
            if time.monotonic() > end or dead:
                logs = "\n".join(f"--- {p.log_path.name}\n{p.log}" for p in self.processes)
                raise AssertionError(f"expected {what} within {timeout_s:.0f} s; logs:\n{logs}")
            self.executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        """End the test node, then all processes: in this order, each part once.

        Fast DDS 2.14 locks a mutex in shared memory when it closes a port. Whoever is killed or
        stopped while sending to that port may hold it: the wait for it ends in a segmentation
        fault of this process once a watchdog replaces the port. So the others live until then.
        Only this thread ever spins, so nothing waits on what is destroyed here; the context goes
        now, not when the garbage collector comes by.
        """
        running = [p.process for p in self.processes if p.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGCONT)
        self.executor.remove_node(self.node)
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        self.context.destroy()
        for process in running:
            process.kill()
            process.wait()
