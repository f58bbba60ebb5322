"""A camera without hardware: a synthetic moving target, with the truth beside the images.

    ros2 run dcfst_ros synthetic_camera_node --ros-args -r image:=/camera/image_raw

The target moves on a closed path. `~/ground_truth` tells its box in every image; with `send_init`
the node also gives the tracker the first box.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D

from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.image_messages import rgb_to_image
from dcfst_ros.conversions import make_detection
from dcfst_ros.runner import describe, run_node, spin

PARAMETERS: tuple[tuple[str, Any, str], ...] = (
    ("width", 640, "image width, px"),
    ("height", 480, "image height, px"),
    ("rate_hz", 30.0, "images per second"),
    ("period_frames", 120, "images until the target is where it began"),
    ("frame_id", "synthetic_camera", "frame_id of the images"),
    ("best_effort", False, "publish best effort, as some camera drivers do"),
    ("send_init", True, "give the tracker the first box as soon as it listens"),
    ("wait_subscribers", 0, "image subscribers to wait for before the first image"),
    ("frame_count", 0, "images to publish before the node ends; 0 = no end"),
)


# The publisher sees its subscriber a little before the subscriber sees the publisher; what is
# published between is lost.
SETTLE_S = 1.0


class SyntheticCameraNode(Node):
    """Publishes `image`, `camera_info` and `~/ground_truth`."""

    def __init__(self) -> None:
        super().__init__("synthetic_camera")
        values = {
            name: self.declare_parameter(name, default, describe(text)).value
            for name, default, text in PARAMETERS
        }
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
        self.published = 0
        self._init_sent = False
        self._matched_at_s = time.monotonic() - SETTLE_S
        self.create_timer(1.0 / values["rate_hz"], self._publish)

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
        truth = make_detection(header, "target", box, 1.0, "")
        self.images.publish(image)
        self.infos.publish(self._camera_info(header))
        self.truths.publish(truth)
        watched = self._matched() and self.inits.get_subscription_count()
        if self.send_init and not self._init_sent and watched:
            self.inits.publish(truth)
            self._init_sent = True
        self.published += 1

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
    return run_node(SyntheticCameraNode, spin, args, finish)


if __name__ == "__main__":
    sys.exit(main())
