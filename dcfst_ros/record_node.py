"""Record images with their tracks: a video, a contact sheet, a CSV file and a printed table.

    ros2 run dcfst_ros record_node --ros-args -r image:=/camera/image_raw -p folder:=my_run

With `-p await_tracker:=true` the recording begins when the tracker was heard, so that started
together they miss no track.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from dcfst_core.errors import DCFSTError
from dcfst_core.media.image_messages import stamp_to_ns
from dcfst_ros.compatibility import steady_timer
from dcfst_ros.health import status_name
from dcfst_ros.plain_parameters import declare
from dcfst_ros.qos import choose_reliability, image_qos, state_qos
from dcfst_ros.recording import TrackRecorder
from dcfst_ros.runner import run_node, spin

DEPTH = 100
POLL_S = 0.1


class RecordNode(Node):
    """Listens to `image`, `tracker/tracks` and `tracker/state` until it is stopped.

    With `await_tracker` it takes images only once it heard the tracker's diagnostics. These are
    the last thing it subscribes to before, so the tracker's first answer does not go past it
    while the two processes still discover each other.
    """

    def __init__(self) -> None:
        super().__init__("record")
        folder = declare(self, "folder", "track_recording", "where to write")
        fps = declare(self, "fps", 0.0, "rate of the written video; 0 = the images' own times", 0)
        self.recorder = TrackRecorder(Path(folder), fps)
        wait = declare(self, "await_tracker", False, "take images only once the tracker was heard")
        self._qos = QoSProfile(depth=DEPTH)
        self._images: Subscription | None = None
        self._reliability: ReliabilityPolicy | None = None
        self._told = 0
        self._timer: Any = None
        self.create_subscription(DiagnosticStatus, "tracker/state", self._on_state, state_qos())
        tracks = self.create_subscription(
            Detection2DArray, "tracker/tracks", self._on_tracks, self._qos
        )
        if wait:
            self._awaited = status_name(tracks.topic_name.rpartition("/")[0])
            self.create_subscription(
                DiagnosticArray, "/diagnostics", self._on_diagnostics, self._qos
            )
        else:
            self._take_images()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        names = [status.name for status in message.status]
        if self._timer is None and self._awaited in names:
            self._take_images()

    def _take_images(self) -> None:
        self._timer = steady_timer(self, POLL_S, self._match_publishers)
        self._match_publishers()

    def _match_publishers(self) -> None:
        """Subscribe as the publishers offer: a best-effort camera is not heard otherwise."""
        topic = self.resolve_topic_name("image")
        publishers = self.get_publishers_info_by_topic(topic)
        if not publishers:
            return
        reliability = choose_reliability(publishers, "auto")
        if reliability != self._reliability:
            if self._images is not None:
                self.destroy_subscription(self._images)
            self._reliability = reliability
            qos = image_qos(reliability, DEPTH)
            self._images = self.create_subscription(Image, "image", self._on_image, qos)

    def _on_image(self, message: Image) -> None:
        arrival_ns = self.get_clock().now().nanoseconds
        self.recorder.add_image(stamp_to_ns(message.header.stamp), message, arrival_ns)

    def _on_tracks(self, message: Detection2DArray) -> None:
        arrival_ns = self.get_clock().now().nanoseconds
        stamp_ns = stamp_to_ns(message.header.stamp)
        self.recorder.add_tracks(stamp_ns, list(message.detections), arrival_ns)
        for note in self.recorder.notes[self._told :]:
            self.get_logger().warning(note)
        self._told = len(self.recorder.notes)

    def _on_state(self, message: DiagnosticStatus) -> None:
        values = {item.key: item.value for item in message.values}
        if "stamp" in values:
            seconds, _, nanoseconds = values["stamp"].partition(".")
            stamp_ns = int(seconds) * 1_000_000_000 + int(nanoseconds)
            score = float(values.get("score", "0"))
            self.recorder.add_state(message.name, message.message, score, stamp_ns)


def finish(node: RecordNode) -> None:
    """Complete the files and print the table."""
    node.recorder.finish()
    print(node.recorder.table(), flush=True)


def main(args: list[str] | None = None) -> int:
    """Record until stopped; returns the exit code."""
    try:
        return run_node(RecordNode, spin, args, finish)
    except (DCFSTError, OSError, ValueError) as error:
        print(f"record_node: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
