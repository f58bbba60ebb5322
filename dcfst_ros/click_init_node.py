"""Give a box by two clicks, in rqt_image_view or in rviz2.

    ros2 run dcfst_ros click_init_node --ros-args -r image_mouse_left:=/camera/image_raw_mouse_left

rqt_image_view publishes pixels when "Publish click location" is ticked. For rviz2 this node shows
a nearly transparent plane 1 m in front of the camera; two "Publish Point" clicks on it in a Camera
display make the box (config/tracker.rviz is ready for it). Click two opposite corners.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import rclpy
from geometry_msgs.msg import Point, PointStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo
from vision_msgs.msg import Detection2D
from visualization_msgs.msg import Marker

from dcfst_ros.click_geometry import ClickError, Pixel, Projection, TwoClicks
from dcfst_ros.conversions import fill_bounding_box
from dcfst_ros.plain_parameters import declare
from dcfst_ros.runner import run_node, spin

PARAMETERS: tuple[tuple[Any, ...], ...] = (
    ("init_id", "", "id of the target to start"),
    ("plane_depth_m", 1.0, "distance of the click plane, m"),
    ("click_timeout_s", 15.0, "forget a first click after so many seconds"),
)
WARN_EVERY_S = 10.0


class ClickInitNode(Node):
    """Turns clicks on `image_mouse_left` or `clicked_point` into `tracker/init_box`."""

    def __init__(self) -> None:
        super().__init__("click_init")
        values = {name: declare(self, name, *rest) for name, *rest in PARAMETERS}
        self.target_id: str = values["init_id"]
        self.depth_m: float = values["plane_depth_m"]
        timeout_s = values["click_timeout_s"]
        self.clicks = {"rqt": TwoClicks(timeout_s), "rviz": TwoClicks(timeout_s)}
        self.projection: Projection | None = None
        self.frame_id = ""
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.inits = self.create_publisher(Detection2D, "tracker/init_box", 10)
        self.planes = self.create_publisher(Marker, "~/click_plane", latched)
        self.create_subscription(Point, "image_mouse_left", self._on_pixel, 10)
        self.create_subscription(PointStamped, "clicked_point", self._on_point, 10)
        self.create_subscription(
            CameraInfo, "camera_info", self._on_camera_info, qos_profile_sensor_data
        )
        self._transforms = self._listen_to_transforms()

    def _on_pixel(self, message: Point) -> None:
        # rqt_image_view rounds to whole pixels: take the pixel's centre.
        self._click("rqt", (message.x + 0.5, message.y + 0.5))

    def _on_point(self, message: PointStamped) -> None:
        if self.projection is None:
            self._warn(
                "a click in rviz came, but no CameraInfo: rviz clicks need a calibrated camera. "
                f"Remap camera_info (now {self.resolve_topic_name('camera_info')}), or use "
                "rqt_image_view"
            )
            return
        try:
            point = self._to_optical_frame(message)
            self._click("rviz", self.projection.pixel(point))
        except ClickError as error:
            self._warn(str(error))

    def _on_camera_info(self, message: CameraInfo) -> None:
        try:
            projection = Projection.from_camera_info(message)
        except ClickError as error:  # comes with every image
            self.get_logger().warning(str(error), throttle_duration_sec=WARN_EVERY_S)
            return
        if (projection, message.header.frame_id) != (self.projection, self.frame_id):
            self.projection, self.frame_id = projection, message.header.frame_id
            self.planes.publish(self._plane())

    def _click(self, source: str, pixel: Pixel) -> None:
        try:
            box = self.clicks[source].click(pixel, time.monotonic())
        except ClickError as error:
            self._warn(str(error))
            return
        if box is None:
            self.get_logger().info(f"first corner at {pixel[0]:.0f}, {pixel[1]:.0f}")
            return
        # Clicks carry no image stamp: zero means the newest image.
        detection = Detection2D(id=self.target_id)
        detection.header.frame_id = self.frame_id
        fill_bounding_box(box, detection.bbox)
        self.inits.publish(detection)
        self.get_logger().info("box " + ", ".join(f"{v:.0f}" for v in box) + " sent")

    def _listen_to_transforms(self) -> Any:
        """A tf2 buffer that fills from now on, so that a first click finds it full; or None."""
        try:
            import tf2_geometry_msgs  # noqa: F401
            import tf2_ros
        except ImportError:
            return None
        buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(buffer, self)
        return buffer

    def _to_optical_frame(self, message: PointStamped) -> tuple[float, float, float]:
        """The clicked point in the camera's frame, through tf2 where the frames differ."""
        point = message.point
        if message.header.frame_id == self.frame_id:
            return (point.x, point.y, point.z)
        if self._transforms is None:
            raise ClickError(
                f"expected clicks in the camera's frame {self.frame_id!r}, got "
                f"{message.header.frame_id!r}, and tf2 is not installed: set rviz's Fixed Frame "
                f"to {self.frame_id!r}"
            )
        import tf2_geometry_msgs
        import tf2_ros

        try:
            transform = self._transforms.lookup_transform(
                self.frame_id, message.header.frame_id, rclpy.time.Time()
            )
        except tf2_ros.TransformException as error:
            raise ClickError(f"no transform to {self.frame_id!r} yet: {error}") from None
        moved = tf2_geometry_msgs.do_transform_point(message, transform).point
        return (moved.x, moved.y, moved.z)

    def _plane(self) -> Marker:
        """Two triangles that fill the camera's view, seen from both sides, hardly visible."""
        assert self.projection is not None
        marker = Marker(ns="click_plane", type=Marker.TRIANGLE_LIST, action=Marker.ADD)
        marker.header.frame_id = self.frame_id  # stamp zero: always the latest transform
        marker.frame_locked = True
        marker.pose.orientation.w = 1.0
        marker.scale.x = marker.scale.y = marker.scale.z = 1.0
        marker.color.r = marker.color.g = marker.color.b = 1.0
        marker.color.a = 0.02
        corners = [Point(x=x, y=y, z=z) for x, y, z in self.projection.plane_corners(self.depth_m)]
        marker.points = [corners[i] for i in (0, 1, 2, 0, 2, 3, 0, 2, 1, 0, 3, 2)]
        return marker

    def _warn(self, text: str) -> None:
        self.get_logger().warning(text)


def main(args: list[str] | None = None) -> int:
    """Run until stopped; returns the exit code."""
    try:
        return run_node(ClickInitNode, spin, args)
    except ValueError as error:
        print(f"click_init_node: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
