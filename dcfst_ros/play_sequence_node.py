"""Play a video, an image folder or a camera as sensor_msgs/Image, optionally with a first box.

    ros2 run dcfst_ros play_sequence_node --ros-args -p source:=video.mp4 -p init_box:=10,20,40,80

With `pace: rate` frames go out in real time, as from a camera. With `pace: tracks` each frame
also waits for the tracker's answer to the one before, so every frame is processed on any machine.
Either way the stamps have the intervals of the source's frames: a slow tracker lags behind them.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
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
from dcfst_ros.plain_parameters import declare
from dcfst_ros.runner import run_node

# Name, default, meaning, smallest value.
PARAMETERS: tuple[tuple[str, Any, str, float | None], ...] = (
    ("source", "", "video file, image folder, camera, pipe or stream address", None),
    ("rate_hz", 0.0, "frames per second; 0 = the source's own times, or 30 Hz", 0),
    ("pace", "rate", "rate = real time; tracks = wait for the answer to each frame too", None),
    ("start_frame", 0, "frames to pass over at the start", 0),
    ("frame_count", 0, "frames to play; 0 = all", 0),
    ("loop", False, "start again at the end", None),
    ("init_box", "", "x,y,w,h in pixels of the first played frame; empty = none", None),
    ("init_id", "", "id of the target that init_box starts", None),
    ("frame_id", "camera", "frame_id of the images", None),
    ("best_effort", False, "publish best effort, as some camera drivers do", None),
    ("wait_subscribers", 1, "image subscribers to wait for before the first frame", 0),
    ("timeout_s", 60.0, "give up when a subscriber or an answer does not come for this long", 0),
    ("progress", True, "show a progress bar", None),
)
USUAL_RATE_HZ = 30.0


class PlayError(RuntimeError):
    """Playing cannot go on, with the reason."""


class PlaySequenceNode(Node):
    """Publishes `image`, and `tracker/init_box` with the first frame's stamp."""

    def __init__(self) -> None:
        super().__init__("play_sequence")
        for name, default, help_text, least in PARAMETERS:
            setattr(self, name, declare(self, name, default, help_text, least))
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
        self._next_ns = 0
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
        while rclpy.ok():
            with open_frames(self.source) as source:
                if not self.played:
                    self._wait_for_subscribers()
                source.skip(self.start_frame)
                self._play_once(source)
            if not self.loop:
                break
        self.get_logger().info(f"played {self.played} frames of {self.source}")

    def _play_once(self, source: FrameSource) -> None:
        total = min(n for n in (source.count, self.frame_count or None, sys.maxsize) if n)
        total = total if total < sys.maxsize else None
        bar = tqdm(total=total, unit="frame", disable=not self.progress, file=sys.stderr)
        frames = source.timed()
        clock = _Clock(self.rate_hz, source.fps, max(self._now_ns(), self._next_ns))
        with bar, contextlib.closing(source):
            for index, frame in enumerate(itertools.islice(frames, self.frame_count or None)):
                if index == 0 and self.box is not None and frame.number != self.start_frame:
                    raise PlayError(
                        f"frame {self.start_frame}, which init_box is for, cannot be read; the "
                        f"first that can is {frame.number}: give its box and start_frame"
                    )
                self._tell(source)
                stamp_ns = clock.stamp_ns(index, frame.time_s)
                if not self._spin_until(stamp_ns):
                    return
                header = self._publish(frame.rgb, stamp_ns)
                if index == 0 and self.box is not None:
                    self._publish_box(header)
                if self.pace == "tracks":
                    self._wait_for_answer(header)
                bar.update()
        self._next_ns = clock.next_ns
        if not self.loop:
            self._spin_until(clock.next_ns)
        self._tell(source)
        if source.missing:
            self.get_logger().warning(source.missing)

    def _tell(self, source: FrameSource) -> None:
        while source.notes:
            self.get_logger().warning(source.notes.pop(0))

    def _publish(self, frame: Frame, stamp_ns: int) -> Header:
        stamp = Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)
        header = Header(stamp=stamp, frame_id=self.frame_id)
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
        """Whether the subscribers wanted are matched, and the tracker is one of them.

        Others, such as a recorder, may come before: the tracker is the node that listens to init
        boxes too, or that answers.
        """
        listeners = self.get_subscriptions_info_by_topic(self.images.topic_name)
        matched = self.images.get_subscription_count()
        if matched < max(self.wait_subscribers, len(listeners)):
            return False
        if self.box is not None:
            inits = self.get_subscriptions_info_by_topic(self.inits.topic_name)
            if not self.inits.get_subscription_count() or not _nodes(inits) & _nodes(listeners):
                return False
        if self._answers is not None:
            answering = self.get_publishers_info_by_topic(self._answers.topic_name)
            return bool(_nodes(answering) & _nodes(listeners))
        return True

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

    def _spin_until(self, stamp_ns: int) -> bool:
        """Wait until this node's clock shows that time; False when ROS was shut down."""
        while rclpy.ok() and (rest_ns := stamp_ns - self._now_ns()) > 0:
            rclpy.spin_once(self, timeout_sec=min(rest_ns / 1e9, 0.5))
        return bool(rclpy.ok())

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)


class _Clock:
    """Stamps of the frames played: the first is `start_ns`, the others follow as in the source.

    next_ns: when the frame after the last one is due.
    """

    def __init__(self, rate_hz: float, source_fps: float | None, start_ns: int) -> None:
        self._rate_hz, self._start_ns = rate_hz, start_ns
        self._period_s = 1.0 / (rate_hz or source_fps or USUAL_RATE_HZ)
        self._first_s: float | None = None
        self.next_ns = start_ns

    def stamp_ns(self, index: int, time_s: float | None) -> int:
        """The stamp of the frame with that index, which is at `time_s` in the source."""
        if self._rate_hz or time_s is None:
            after_s = index * self._period_s
        else:
            self._first_s = time_s if self._first_s is None else self._first_s
            after_s = time_s - self._first_s
        stamp_ns = self._start_ns + round(after_s * 1e9)
        self.next_ns = stamp_ns + round(self._period_s * 1e9)
        return stamp_ns


def _nodes(infos: list[Any]) -> set[tuple[str, str]]:
    return {(info.node_namespace, info.node_name) for info in infos}


def main(args: list[str] | None = None) -> int:
    """Play and end; returns the exit code."""
    try:
        return run_node(PlaySequenceNode, PlaySequenceNode.play, args)
    except (PlayError, DCFSTError, ValueError) as error:
        print(f"play_sequence_node: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
