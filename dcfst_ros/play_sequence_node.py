"""Play a video, an image folder or a camera as sensor_msgs/Image, optionally with a first box.

    ros2 run dcfst_ros play_sequence_node --ros-args -p source:=video.mp4 -p init_box:=10,20,40,80

With `pace: rate` frames go out in real time, as from a camera. With `pace: tracks` each frame
waits for the tracker's answer to the one before, so every frame is processed on any machine.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tqdm import tqdm
from vision_msgs.msg import Detection2D, Detection2DArray

from dcfst_core.boxes import parse_box
from dcfst_core.errors import DCFSTError
from dcfst_core.media.image_messages import rgb_to_image, stamp_to_ns
from dcfst_core.media.video import Frame, FrameSource, open_frames
from dcfst_ros.conversions import fill_bounding_box
from dcfst_ros.runner import describe, run_node

PARAMETERS: tuple[tuple[str, Any, str], ...] = (
    ("source", "", "video file, image folder, camera index or stream address"),
    ("rate_hz", 0.0, "frames per second; 0 = the source's own, or 30"),
    ("pace", "rate", "rate = real time; tracks = wait for the tracker's answer to each frame"),
    ("start_frame", 0, "frames to pass over at the start"),
    ("frame_count", 0, "frames to play; 0 = all"),
    ("loop", False, "start again at the end"),
    ("init_box", "", "x,y,w,h in pixels of the first played frame; empty = none"),
    ("init_id", "", "id of the target that init_box starts"),
    ("frame_id", "camera", "frame_id of the images"),
    ("best_effort", False, "publish best effort, as some camera drivers do"),
    ("wait_subscribers", 1, "image subscribers to wait for before the first frame"),
    ("timeout_s", 60.0, "give up when a subscriber or an answer does not come for this long"),
    ("progress", True, "show a progress bar"),
)


class PlayError(RuntimeError):
    """Playing cannot go on, with the reason."""


class PlaySequenceNode(Node):
    """Publishes `image`, and `tracker/init_box` with the first frame's stamp."""

    def __init__(self) -> None:
        super().__init__("play_sequence")
        for name, default, help_text in PARAMETERS:
            setattr(self, name, self._declare(name, default, help_text))
        if self.pace not in ("rate", "tracks"):
            raise PlayError(f"pace: expected rate or tracks, got {self.pace!r}")
        self.box = parse_box(self.init_box) if self.init_box else None
        best_effort = ReliabilityPolicy.BEST_EFFORT if self.best_effort else None
        reliability = best_effort or ReliabilityPolicy.RELIABLE
        self.images = self.create_publisher(
            Image, "image", QoSProfile(depth=10, reliability=reliability)
        )
        self.inits = self.create_publisher(Detection2D, "tracker/init_box", 10)
        self.played = 0
        self._answered_ns = -1
        self._answers: Any = None
        if self.pace == "tracks":
            self._answers = self.create_subscription(
                Detection2DArray, "tracker/tracks", self._on_tracks, 10
            )

    def play(self) -> None:
        """Play to the end; raises PlayError when nobody listens or answers."""
        if not self.source:
            raise PlayError("expected -p source:=FILE, FOLDER or CAMERA; got none")
        with open_frames(self.source) as source:
            self._wait_for_subscribers()
        while rclpy.ok():
            with open_frames(self.source) as source:
                self._play_once(source)
            if not self.loop:
                self.get_logger().info(f"played {self.played} frames of {self.source}")
                return

    def _play_once(self, source: FrameSource) -> None:
        if self.start_frame:
            source.skip(self.start_frame)
        period_s = 1.0 / (self.rate_hz or source.fps or 30.0)
        total = min(n for n in (source.count, self.frame_count or None, sys.maxsize) if n)
        total = total if total < sys.maxsize else None
        due_s = time.monotonic()
        bar = tqdm(total=total, unit="frame", disable=not self.progress, file=sys.stderr)
        with bar, contextlib.closing(source):
            for index, frame in enumerate(source):
                if (self.frame_count and index >= self.frame_count) or not rclpy.ok():
                    return
                header = self._publish(frame)
                if index == 0 and self.box is not None:
                    self._publish_box(header)
                if self.pace == "tracks":
                    self._wait_for_answer(header)
                else:
                    due_s += period_s
                    self._spin_until(due_s)
                bar.update()
        if source.truncated:
            self.get_logger().warning(source.truncated)

    def _publish(self, frame: Frame) -> Header:
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self.frame_id)
        self.images.publish(rgb_to_image(frame, Image(header=header)))
        self.played += 1
        return header

    def _publish_box(self, header: Header) -> None:
        detection = Detection2D(header=header, id=self.init_id)
        fill_bounding_box(self.box, detection.bbox)
        self.inits.publish(detection)

    def _wait_for_subscribers(self) -> None:
        limit_s = time.monotonic() + self.timeout_s
        while not self._everybody_listens():
            if time.monotonic() > limit_s:
                raise PlayError(
                    f"expected {self.wait_subscribers} subscribers of {self.images.topic_name}"
                    f"{' and a tracker' if self.box else ''} within {self.timeout_s:.0f} s, got "
                    f"{self.images.get_subscription_count()} and "
                    f"{self.inits.get_subscription_count()} on {self.inits.topic_name}"
                )
            rclpy.spin_once(self, timeout_sec=0.05)

    def _everybody_listens(self) -> bool:
        enough = self.images.get_subscription_count() >= self.wait_subscribers
        tracker = self.box is None or self.inits.get_subscription_count() > 0
        answers = self._answers is None or self.count_publishers(self._answers.topic_name) > 0
        return enough and tracker and answers

    def _on_tracks(self, message: Detection2DArray) -> None:
        self._answered_ns = max(self._answered_ns, stamp_to_ns(message.header.stamp))

    def _wait_for_answer(self, header: Header) -> None:
        stamp_ns, limit_s = stamp_to_ns(header.stamp), time.monotonic() + self.timeout_s
        while self._answered_ns < stamp_ns:
            if time.monotonic() > limit_s:
                raise PlayError(
                    f"no answer on {self._answers.topic_name} to frame {self.played} within "
                    f"{self.timeout_s:.0f} s: see the tracker's log"
                )
            rclpy.spin_once(self, timeout_sec=0.2)

    def _spin_until(self, due_s: float) -> None:
        while (rest_s := due_s - time.monotonic()) > 0:
            rclpy.spin_once(self, timeout_sec=rest_s)

    def _declare(self, name: str, default: Any, help_text: str) -> Any:
        return self.declare_parameter(name, default, describe(help_text)).value


def main(args: list[str] | None = None) -> int:
    """Play and end; returns the exit code."""
    try:
        return run_node(PlaySequenceNode, PlaySequenceNode.play, args)
    except (PlayError, DCFSTError, ValueError) as error:
        print(f"play_sequence_node: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
