"""A camera without hardware: a synthetic moving target, with the truth beside the images.

    ros2 run dcfst_ros synthetic_camera_node --ros-args -r image:=/camera/image_raw

The target moves on a closed path. `~/ground_truth` tells its box in every image; with `send_init`
the node also gives the tracker a box, and another one until the tracker says that it follows:
the image of the first may get lost on a best-effort way.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D

from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.image_messages import rgb_to_image
from dcfst_ros.compatibility import steady_timer
from dcfst_ros.conversions import make_detection
from dcfst_ros.plain_parameters import declare
from dcfst_ros.qos import state_qos
from dcfst_ros.runner import run_node, spin

PARAMETERS: tuple[tuple[Any, ...], ...] = (
    ("width", 640, "image width, px", 32),
    ("height", 480, "image height, px", 32),
    ("rate_hz", 30.0, "images per second", 0.01),
    ("period_frames", 120, "images until the target is where it began", 1),
    ("frame_id", "synthetic_camera", "frame_id of the images"),
    ("best_effort", False, "publish best effort, as some camera drivers do"),
    ("send_init", True, "give the tracker a box as soon as it listens, until it follows it"),
    ("wait_subscribers", 0, "image subscribers to wait for before the first image"),
    ("frame_count", 0, "images to publish before the node ends; 0 = no end"),
)

# The publisher sees its subscriber a little before the subscriber sees the publisher; what is
# published between is lost.
SETTLE_S = 1.0
# How long to wait for the tracker's answer to a box before another one is sent.
ANSWER_S = 3.0
TARGET_ID = "target"


class SyntheticCameraNode(Node):
    """Publishes `image`, `camera_info` and `~/ground_truth`."""

    def __init__(self) -> None:
        super().__init__("synthetic_camera")
        values = {name: declare(self, name, *rest) for name, *rest in PARAMETERS}
        self.frame_id: str = values["frame_id"]
        self.send_init: bool = values["send_init"]
        self.wait_subscribers: int = values["wait_subscribers"]
        self.frame_count: int = values["frame_count"]
        size = (values["width"], values["height"])
        target = (max(size[0] // 10, 16), max(size[1] // 6, 16))
        period = values["period_frames"]
        clip = SyntheticClip(frames=period, size=size, target=target, period=period)
        # Drawn once: drawing 1280x720 at 30 Hz would cost more than publishing.
        self.frames = [rgb_to_image(frame, Image()).data for frame in clip]
        self.boxes = clip.boxes_xywh()
        self.size = size
        reliability = (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT)
        qos = QoSProfile(depth=5, reliability=reliability[values["best_effort"]])
        self.images = self.create_publisher(Image, "image", qos)
        self.infos = self.create_publisher(CameraInfo, "camera_info", qos)
        self.truths = self.create_publisher(Detection2D, "~/ground_truth", 10)
        self.inits = self.create_publisher(Detection2D, "tracker/init_box", 10)
        self.create_subscription(
            DiagnosticStatus, "tracker/init_result", self._on_init_result, state_qos()
        )
        self.published = 0
        self._followed = False
        self._box_at_s: float | None = None
        self._matched_at_s = time.monotonic() - SETTLE_S
        steady_timer(self, 1.0 / values["rate_hz"], self._publish)

    def _publish(self) -> None:
        if not self.published and self._matched() < self.wait_subscribers:
            self._matched_at_s = time.monotonic()
            return
        if time.monotonic() < self._matched_at_s + SETTLE_S:
            return
        if self.frame_count and self.published >= self.frame_count:
            raise ExternalShutdownException
        index = self.published % len(self.frames)
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self.frame_id)
        width, height = self.size
        image = Image(header=header, width=width, height=height, encoding="rgb8", step=3 * width)
        image.data = self.frames[index]
        box = tuple(float(v) for v in self.boxes[index])
        truth = make_detection(header, TARGET_ID, box, 1.0, "")
        self.images.publish(image)
        self.infos.publish(self._camera_info(header))
        self.truths.publish(truth)
        if self._box_is_due():
            self.inits.publish(truth)
            self._box_at_s = time.monotonic()
        self.published += 1

    def _box_is_due(self) -> bool:
        """A tracker listens that follows nothing yet, and no box is on its way."""
        if not self.send_init or self._followed or not self.inits.get_subscription_count():
            return False
        if not self._matched():
            return False
        return self._box_at_s is None or time.monotonic() > self._box_at_s + ANSWER_S

    def _on_init_result(self, message: DiagnosticStatus) -> None:
        """What came before the first box was for somebody else's."""
        if message.name != TARGET_ID or self._box_at_s is None:
            return
        if message.level == DiagnosticStatus.OK:
            self._followed = True
        else:
            self._box_at_s = None

    def _matched(self) -> int:
        return self.images.get_subscription_count()

    def _camera_info(self, header: Header) -> CameraInfo:
        """An ideal pinhole camera with a horizontal view of about 60 degrees."""
        width, height = self.size
        focal, cx, cy = 0.87 * width, (width - 1) / 2, (height - 1) / 2
        info = CameraInfo(header=header, width=width, height=height)
        info.distortion_model, info.d = "plumb_bob", [0.0] * 5
        info.k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
        info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
        info.p = [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
        return info


def finish(node: SyntheticCameraNode) -> None:
    """Say how many images there were, for counting losses."""
    print(f"synthetic_camera_node: published {node.published} images", flush=True)


def main(args: list[str] | None = None) -> int:
    """Publish until stopped; returns the exit code."""
    try:
        return run_node(SyntheticCameraNode, spin, args, finish)
    except ValueError as error:
        print(f"synthetic_camera_node: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
