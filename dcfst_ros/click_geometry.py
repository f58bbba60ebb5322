"""From clicks to boxes: pixels, or points on a plane in front of the camera. Pure Python.

The projection is CameraInfo.P and not K with D: image viewers and rviz2's Camera display draw the
scene through P, so P maps a clicked point back to the pixel that was shown under the cursor. K, D
and P are of the full sensor; an image that was cut (`roi`) or binned has other pixels (REP 104).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dcfst_ros.conversions import BoxXYWH

Pixel = tuple[float, float]
Point = tuple[float, float, float]


class ClickError(ValueError):
    """Clicks that make no box, with the reason."""


@dataclass(frozen=True)
class Projection:
    """The projection of the image as published: P, shifted by the ROI, scaled by binning."""

    fx: float
    fy: float
    cx: float
    cy: float
    tx: float
    ty: float
    width: int
    height: int

    @classmethod
    def from_camera_info(cls, info: Any) -> Projection:
        """Read a sensor_msgs/CameraInfo; ClickError when it holds no calibration."""
        p = list(info.p)
        if p[0] <= 0 or p[5] <= 0:
            raise ClickError(
                f"expected a calibrated camera, got P with focal lengths {p[0]:g} and {p[5]:g}: "
                "clicks in rviz need calibration; use clicks in rqt_image_view"
            )
        bin_x, bin_y = max(info.binning_x, 1), max(info.binning_y, 1)
        roi = info.roi
        # A ROI of size zero is the whole image.
        width = roi.width or info.width
        height = roi.height or info.height
        return cls(
            fx=p[0] / bin_x,
            fy=p[5] / bin_y,
            cx=(p[2] - roi.x_offset) / bin_x,
            cy=(p[6] - roi.y_offset) / bin_y,
            tx=p[3] / bin_x,
            ty=p[7] / bin_y,
            width=width // bin_x,
            height=height // bin_y,
        )

    def pixel(self, point: Point) -> Pixel:
        """Project a point in the optical frame (x right, y down, z ahead, metres) to pixels.

        ROS counts from the centre of the first pixel, boxes here from its corner: hence + 0.5.
        """
        x, y, z = point
        if z <= 0:
            raise ClickError(f"expected a point in front of the camera, got z = {z:.3f} m")
        u = (self.fx * x + self.tx) / z + self.cx
        v = (self.fy * y + self.ty) / z + self.cy
        return (u + 0.5, v + 0.5)

    def point_at(self, pixel: Pixel, depth_m: float = 1.0) -> Point:
        """The point at a depth in the optical frame seen in a pixel; inverse of `pixel`."""
        u, v = pixel[0] - 0.5, pixel[1] - 0.5
        x = ((u - self.cx) * depth_m - self.tx) / self.fx
        y = ((v - self.cy) * depth_m - self.ty) / self.fy
        return (x, y, depth_m)

    def plane_corners(self, depth_m: float = 1.0) -> list[Point]:
        """Corners of the plane that fills the image at a depth, clockwise from top left."""
        width, height = self.width, self.height
        corners = [(0.0, 0.0), (float(width), 0.0), (float(width), float(height))]
        return [self.point_at(c, depth_m) for c in (*corners, (0.0, float(height)))]


def box_from_corners(first: Pixel, second: Pixel, smallest_px: float = 4.0) -> BoxXYWH:
    """The box between two opposite corners in any order; ClickError when it is too small."""
    x, y = min(first[0], second[0]), min(first[1], second[1])
    width, height = abs(first[0] - second[0]), abs(first[1] - second[1])
    if width < smallest_px or height < smallest_px:
        raise ClickError(
            f"expected two clicks at least {smallest_px:g} px apart in x and y, got "
            f"{width:.0f}x{height:.0f} px: click two opposite corners of the object"
        )
    return (x, y, width, height)


class TwoClicks:
    """Collect two clicks into a box; a first click is forgotten after `timeout_s`."""

    def __init__(self, timeout_s: float = 15.0) -> None:
        self.timeout_s = timeout_s
        self._first: Pixel | None = None
        self._first_s = 0.0

    def click(self, pixel: Pixel, now_s: float) -> BoxXYWH | None:
        """Take a click; a box after the second one, else None. ClickError starts over."""
        if self._first is None or now_s - self._first_s > self.timeout_s:
            self._first, self._first_s = pixel, now_s
            return None
        first, self._first = self._first, None
        return box_from_corners(first, pixel)
