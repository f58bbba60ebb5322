#!/usr/bin/env python3
"""A pan-tilt camera that keeps its target in the middle, closed loop through the tracker node:

python examples/pan_tilt.py --seconds 60 --out pan_tilt_out

The camera is simulated, the rest is not: images go to tracker_node over DDS, ~/track and ~/state
come back and move the motors. Now and then the target passes behind a pillar. Each image waits for
the answer to the one before, so that slow machines show the same; --real-time does not wait.
Writes error.csv and error.png.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from pan_tilt_world import PX_PER_RAD, TARGET_WH, VIEW_WH, World, report
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray

from dcfst_core.media.image_messages import rgb_to_image, stamp_to_ns
from dcfst_ros.conversions import make_detection
from dcfst_ros.processes import private_environment, start, stop
from dcfst_ros.qos import state_qos
from dcfst_ros.runner import run_node

RATE_HZ = 15.0
GAIN_PER_S, TREND_PER_S2 = 3.0, 2.0  # a PI controller: its sum learns the target's own speed
FASTEST_RAD_S = 1.0


class PanTilt(Node):
    """The camera, its motors, and the loop that moves them by what the tracker says."""

    def __init__(self, world: World) -> None:
        super().__init__("pan_tilt")
        self.world = world
        self.pointing, self.speed = list(world.target_rad(0.0)), [0.0, 0.0]
        self.trend = [0.0, 0.0]
        self.pointed: dict[int, list[float]] = {}  # where, by the image's stamp
        self.state, self.answered_ns = "idle", 0
        self.images = self.create_publisher(Image, "image", 5)
        self.boxes = self.create_publisher(Detection2D, "tracker/init_box", 5)
        self.create_subscription(Detection2D, "tracker/track", self.on_track, 5)
        self.create_subscription(Detection2DArray, "tracker/tracks", self.on_frame, 5)
        self.create_subscription(DiagnosticStatus, "tracker/state", self.on_state, state_qos())

    def step(self, time_s: float) -> Header:
        """Move the motors for one frame's time and take a picture."""
        if self.state != "tracking":
            self.trend = [0.95 * v for v in self.trend]  # go on, ever slower, and wait there
            self.speed = list(self.trend)
        self.pointing = [a + v / RATE_HZ for a, v in zip(self.pointing, self.speed, strict=True)]
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id="camera")
        self.pointed[stamp_to_ns(header.stamp)] = list(self.pointing)
        view = self.world.view(time_s, *self.pointing)
        self.images.publish(rgb_to_image(view, Image(header=header)))
        return header

    def give_box(self, header: Header) -> None:
        """The target stands in the middle of the first picture."""
        left, top = ((side - own) / 2 for side, own in zip(VIEW_WH, TARGET_WH, strict=True))
        self.boxes.publish(make_detection(header, "target", (left, top, *TARGET_WH), 1.0, ""))

    def on_state(self, message: DiagnosticStatus) -> None:
        self.state = message.message

    def on_frame(self, message: Detection2DArray) -> None:
        self.answered_ns = stamp_to_ns(message.header.stamp)

    def on_track(self, message: Detection2D) -> None:
        """The box tells where the target was, seen from where the camera pointed then."""
        then = self.pointed.get(stamp_to_ns(message.header.stamp), self.pointing)
        centre = message.bbox.center.position
        for axis, (at, side) in enumerate(zip((centre.x, centre.y), VIEW_WH, strict=True)):
            off = then[axis] + (at - side / 2) / PX_PER_RAD - self.pointing[axis]
            self.trend[axis] += TREND_PER_S2 * off / RATE_HZ
            wanted = GAIN_PER_S * off + self.trend[axis]
            self.speed[axis] = min(max(wanted, -FASTEST_RAD_S), FASTEST_RAD_S)

    def wait(self, seconds: float, answer_ns: int | None = None) -> None:
        """Listen for a while, or until the tracker has looked at an image."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s and (answer_ns is None or self.answered_ns < answer_ns):
            rclpy.spin_once(self, timeout_sec=min(seconds, 0.02))


def follow(node: PanTilt, seconds: float, real_time: bool, rows: list[tuple]) -> None:
    """Give the box, then close the loop; rows: time, error, state, whether it is hidden."""
    while node.state != "tracking":
        if node.boxes.get_subscription_count():
            node.give_box(node.step(0.0))
        node.wait(5.0, answer_ns=node.answered_ns + 1)
    for number in range(int(seconds * RATE_HZ)):
        time_s = number / RATE_HZ
        header = node.step(time_s)
        truth = node.world.target_rad(time_s)
        off_px = [PX_PER_RAD * (a - b) for a, b in zip(truth, node.pointing, strict=True)]
        hidden = node.world.hidden(time_s)
        rows.append((time_s, (off_px[0] ** 2 + off_px[1] ** 2) ** 0.5, node.state, hidden))
        if real_time:
            node.wait(1 / RATE_HZ)
        else:
            node.wait(20.0, answer_ns=stamp_to_ns(header.stamp))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument(
        "--pillar-at", type=float, default=25.0, help="first time that it is hidden, s"
    )
    parser.add_argument("--out", type=Path, default=Path("pan_tilt_out"))
    parser.add_argument("--real-time", action="store_true", help="wait for no answers")
    parser.add_argument("--own-tracker", action="store_true", help="you started tracker_node")
    options = parser.parse_args()
    rows: list[tuple] = []
    if not options.own_tracker:
        os.environ.update(private_environment())
    tracker = None if options.own_tracker else start("tracker_node", {}, dict(os.environ), None)
    try:
        run_node(
            lambda: PanTilt(World(options.pillar_at)),
            lambda node: follow(node, options.seconds, options.real_time, rows),
        )
    finally:
        if tracker is not None:
            stop(tracker)
    print(report(rows, options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
