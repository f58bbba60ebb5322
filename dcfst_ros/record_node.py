"""Record images with their tracks: a video, a contact sheet, a CSV file and a printed table.

    ros2 run dcfst_ros record_node --ros-args -r image:=/camera/image_raw -p folder:=my_run

With `-p await_tracker:=true` the recording begins when the tracker was heard, so that started
together they miss no track.
"""

from __future__ import annotations

import sys
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from dcfst_core.errors import DCFSTError
from dcfst_core.media.image_messages import stamp_to_ns
from dcfst_ros.health import status_name
from dcfst_ros.qos import state_qos
from dcfst_ros.recording import TrackRecorder
from dcfst_ros.runner import describe, run_node, spin

DEPTH = 100


class RecordNode(Node):
    """Listens to `image`, `tracker/tracks` and `tracker/state` until it is stopped.

    With `await_tracker` it takes images only once it heard the tracker's diagnostics. These are
    the last thing it subscribes to before, so the tracker's first answer does not go past it
    while the two processes still discover each other.
    """

    def __init__(self) -> None:
        super().__init__("record")
        folder = self.declare_parameter("folder", "track_recording", describe("where to write"))
        fps = self.declare_parameter("fps", 25.0, describe("speed of the written video"))
        self.recorder = TrackRecorder(Path(folder.value), fps.value)
        wait = self.declare_parameter(
            "await_tracker", False, describe("take images only once the tracker was heard")
        )
        self._qos = QoSProfile(depth=DEPTH)
        self._images: Subscription | None = None
        self.create_subscription(DiagnosticStatus, "tracker/state", self._on_state, state_qos())
        tracks = self.create_subscription(
            Detection2DArray, "tracker/tracks", self._on_tracks, self._qos
        )
        if wait.value:
            self._awaited = status_name(tracks.topic_name.rpartition("/")[0])
            self.create_subscription(
                DiagnosticArray, "/diagnostics", self._on_diagnostics, self._qos
            )
        else:
            self._take_images()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        names = [status.name for status in message.status]
        if self._images is None and self._awaited in names:
            self._take_images()

    def _take_images(self) -> None:
        self._images = self.create_subscription(Image, "image", self._on_image, self._qos)

    def _on_image(self, message: Image) -> None:
        self.recorder.add_image(stamp_to_ns(message.header.stamp), message)

    def _on_tracks(self, message: Detection2DArray) -> None:
        arrival_ns = self.get_clock().now().nanoseconds
        stamp_ns = stamp_to_ns(message.header.stamp)
        self.recorder.add_tracks(stamp_ns, list(message.detections), arrival_ns)

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
    except (DCFSTError, OSError) as error:
        print(f"record_node: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
