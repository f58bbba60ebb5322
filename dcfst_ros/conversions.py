"""Boxes to Detection2D and back; no rclpy."""

from __future__ import annotations

import math
from typing import Any

from dcfst_core.errors import BoxError

BoxXYWH = tuple[float, float, float, float]


def detection_to_box(detection: Any) -> BoxXYWH:
    """Read (x, y, w, h) in pixels from a Detection2D.

    A size of zero means "release" and is returned as it is. Raises BoxError for a rotated box.
    """
    box = detection.bbox
    if not math.isfinite(box.center.theta) or abs(box.center.theta) > 1e-3:
        raise BoxError(f"expected an upright box (theta 0), got theta {box.center.theta:.4f} rad")
    width, height = float(box.size_x), float(box.size_y)
    return (
        float(box.center.position.x) - width / 2,
        float(box.center.position.y) - height / 2,
        width,
        height,
    )


def fill_bounding_box(box_xywh: BoxXYWH, bbox: Any) -> None:
    """Write (x, y, w, h) in pixels into a BoundingBox2D."""
    # rosidl's C code takes the bits of a whole number for those of a float.
    x, y, width, height = (float(value) for value in box_xywh)
    bbox.center.position.x = x + width / 2
    bbox.center.position.y = y + height / 2
    bbox.size_x, bbox.size_y = width, height


def class_id_of(detection: Any) -> str:
    """The class of a detection's most likely hypothesis; empty when it has none."""
    if not detection.results:
        return ""
    best = max(detection.results, key=lambda result: result.hypothesis.score)
    return str(best.hypothesis.class_id)


def make_detection(
    header: Any, target_id: str, box_xywh: BoxXYWH, score: float, class_id: str
) -> Any:
    """Build a vision_msgs/Detection2D that carries the image's own header, unchanged.

    The hypothesis's pose is the box's centre in pixels. How exact it is, is not known: the first
    element of the covariance is -1, which is how sensor_msgs says so.
    """
    from vision_msgs.msg import Detection2D, ObjectHypothesisWithPose

    detection = Detection2D(header=header, id=target_id)
    fill_bounding_box(box_xywh, detection.bbox)
    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id = class_id
    result.hypothesis.score = float(score)
    centre = detection.bbox.center.position
    result.pose.pose.position.x, result.pose.pose.position.y = centre.x, centre.y
    result.pose.covariance[0] = -1.0
    detection.results = [result]
    return detection
