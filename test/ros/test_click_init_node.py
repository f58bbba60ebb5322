"""Clicks over DDS: pixels of rqt_image_view, points of rviz2 in the camera's frame and others."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from geometry_msgs.msg import Point, PointStamped  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from ros_bench import Bench  # noqa: E402
from sensor_msgs.msg import CameraInfo  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from vision_msgs.msg import Detection2D  # noqa: E402
from visualization_msgs.msg import Marker  # noqa: E402

from dcfst_core.media.image_messages import stamp_to_ns  # noqa: E402
from dcfst_ros.conversions import detection_to_box  # noqa: E402

PLANE = "/click_init/click_plane"
# The plane is published once; as rviz2 does, its reader asks for what came before it.
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
HAS_TF2 = importlib.util.find_spec("tf2_ros") is not None

# tf2 is not among the wheels; these two modules have its names and signatures, and one transform:
# `map` is turned by 90 degrees about z and moved by (1, 2, 3) seen from `cam_optical`.
STAND_IN = {
    "tf2_ros": """
from geometry_msgs.msg import TransformStamped
class TransformException(Exception): pass
class TransformListener:
    def __init__(self, buffer, node): buffer.listened = True
class Buffer:
    listened = False
    def lookup_transform(self, target_frame, source_frame, time):
        if not self.listened or (target_frame, source_frame) != ("cam_optical", "map"):
            raise TransformException(f"{source_frame!r} passed to lookupTransform does not exist")
        found = TransformStamped(child_frame_id=source_frame)
        found.header.frame_id = target_frame
        move, turn = found.transform.translation, found.transform.rotation
        move.x, move.y, move.z = 1.0, 2.0, 3.0
        turn.z, turn.w = 0.5 ** 0.5, 0.5 ** 0.5
        return found
""",
    "tf2_geometry_msgs": """
from geometry_msgs.msg import PointStamped
def do_transform_point(point, transform):
    q, t, p = transform.transform.rotation, transform.transform.translation, point.point
    assert abs(q.x) + abs(q.y) < 1e-9
    cos, sin = q.w * q.w - q.z * q.z, 2 * q.w * q.z
    moved = PointStamped(header=transform.header)
    moved.point.x = cos * p.x - sin * p.y + t.x
    moved.point.y = sin * p.x + cos * p.y + t.y
    moved.point.z = p.z + t.z
    return moved
""",
}


def test_clicks_in_pixels_and_on_the_plane_give_the_box(bench: Bench) -> None:
    node = bench.start("click_init_node", {"init_id": "cup"})
    boxes: list[Detection2D] = []
    planes: list[Marker] = []
    bench.node.create_subscription(Detection2D, "tracker/init_box", boxes.append, 10)
    latched = bench.node.create_subscription(Marker, PLANE, planes.append, LATCHED)
    pixels = bench.node.create_publisher(Point, "image_mouse_left", 10)
    points = bench.node.create_publisher(PointStamped, "clicked_point", 10)
    infos = bench.node.create_publisher(CameraInfo, "camera_info", 10)
    for publisher in (pixels, points, infos):
        bench.until(lambda p=publisher: p.get_subscription_count() > 0, "the node")
    bench.until(lambda: latched.get_publisher_count() > 0, "the plane's publisher")

    for x, y in ((100.0, 50.0), (40.0, 90.0)):
        pixels.publish(Point(x=x, y=y))
    bench.until(lambda: len(boxes) == 1, "a box from pixels")
    assert detection_to_box(boxes[0]) == (40.5, 50.5, 60.0, 40.0)
    assert boxes[0].id == "cup" and stamp_to_ns(boxes[0].header.stamp) == 0

    clicked = PointStamped(header=Header(frame_id="cam_optical"), point=Point(x=0.0, y=0.0, z=1.0))
    points.publish(clicked)
    bench.until(lambda: "no CameraInfo" in node.log, "a warning")

    # As cameras do, again and again: best effort loses what comes before both ends are matched.
    bench.until(lambda: infos.publish(camera()) or planes, "the click plane")
    plane = planes[-1]
    assert plane.header.frame_id == "cam_optical" and 0 < plane.color.a < 0.1
    assert all(p.z == 1.0 for p in plane.points) and len(plane.points) == 12
    for x, y in ((-0.1, -0.2), (0.3, 0.1)):
        clicked.point = Point(x=x, y=y, z=1.0)
        points.publish(clicked)
    bench.until(lambda: len(boxes) == 2, "a box from the plane")
    assert detection_to_box(boxes[1]) == pytest.approx((270.0, 140.0, 200.0, 150.0))


def camera() -> CameraInfo:
    info = CameraInfo(header=Header(frame_id="cam_optical"), width=640, height=480)
    info.p = [500.0, 0.0, 319.5, 0.0, 0.0, 500.0, 239.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


class Clicker:
    """A click node that knows the camera, and somebody who clicks in rviz2."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.node = bench.start("click_init_node")
        self.boxes: list[Detection2D] = []
        planes: list[Marker] = []
        add = bench.node.create_subscription
        add(Detection2D, "tracker/init_box", self.boxes.append, 10)
        latched = add(Marker, PLANE, planes.append, LATCHED)
        self.points = bench.node.create_publisher(PointStamped, "clicked_point", 10)
        infos = bench.node.create_publisher(CameraInfo, "camera_info", 10)
        for publisher in (self.points, infos):
            bench.until(lambda p=publisher: p.get_subscription_count() > 0, "the node")
        bench.until(lambda: latched.get_publisher_count() > 0, "the plane's publisher")
        # As cameras do, again and again: best effort loses what comes before both ends match.
        bench.until(lambda: infos.publish(camera()) or planes, "the click plane")

    def click(self, frame_id: str, x: float, y: float, z: float) -> None:
        point = PointStamped(header=Header(frame_id=frame_id), point=Point(x=x, y=y, z=z))
        self.points.publish(point)


@pytest.mark.skipif(HAS_TF2, reason="tf2 is installed here")
def test_without_tf2_a_click_in_another_frame_says_what_to_do(bench: Bench) -> None:
    clicker = Clicker(bench)
    clicker.click("map", 0.0, 0.0, 1.0)
    expected = "'map', and tf2 is not installed: set rviz's Fixed Frame to 'cam_optical'"
    bench.until(lambda: expected in clicker.node.log, "a message about the frame")


@pytest.mark.skipif(HAS_TF2, reason="tf2 is installed here: its own is not to be hidden")
def test_clicks_in_another_frame_go_through_tf2(bench: Bench, tmp_path: Path) -> None:
    for name, text in STAND_IN.items():
        (tmp_path / f"{name}.py").write_text(text)
    paths = [str(tmp_path), bench.env.get("PYTHONPATH", "")]
    bench.env["PYTHONPATH"] = ":".join(path for path in paths if path)
    clicker = Clicker(bench)
    clicker.click("odom", 0.0, 0.0, 1.0)
    bench.until(lambda: "no transform to 'cam_optical' yet" in clicker.node.log, "a warning")
    pixels = []
    for x, y, z in ((-1.0, 0.5, 2.0), (0.5, -0.5, 2.0)):
        clicker.click("map", x, y, z)
        # The independent way: turn by 90 degrees, move, project through P.
        xc, yc, zc = -y + 1.0, x + 2.0, z + 3.0
        pixels.append((500 * xc / zc + 319.5 + 0.5, 500 * yc / zc + 239.5 + 0.5))
    bench.until(lambda: clicker.boxes, "a box")
    x, y, w, h = detection_to_box(clicker.boxes[0])
    (x0, y0), (x1, y1) = pixels
    expected = (min(x0, x1), min(y0, y1), math.fabs(x1 - x0), math.fabs(y1 - y0))
    assert (x, y, w, h) == pytest.approx(expected, abs=1e-6)
