"""The click plane's geometry against an independent projection, and clicks to boxes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dcfst_ros.click_geometry import ClickError, Projection, TwoClicks, box_from_corners


def camera_info(
    width: int = 1280,
    height: int = 720,
    binning: tuple[int, int] = (0, 0),
    roi: tuple[int, int, int, int] = (0, 0, 0, 0),
    tx: float = 0.0,
) -> SimpleNamespace:
    """A CameraInfo of the full sensor; roi is x, y, width, height in full-resolution pixels."""
    p = [900.0, 0.0, 645.3, tx, 0.0, 905.0, 355.8, 0.0, 0.0, 0.0, 1.0, 0.0]
    names = ("x_offset", "y_offset", "width", "height")
    return SimpleNamespace(
        width=width,
        height=height,
        p=p,
        binning_x=binning[0],
        binning_y=binning[1],
        roi=SimpleNamespace(**dict(zip(names, roi, strict=True))),
    )


def project(info: SimpleNamespace, point: np.ndarray) -> np.ndarray:
    """P times the point on the full sensor, then cut and binned as a driver does it (REP 104)."""
    u, v, w = np.array(info.p).reshape(3, 4) @ np.append(point, 1.0)
    full = np.array([u / w, v / w])
    cut = full - [info.roi.x_offset, info.roi.y_offset]
    return cut / [max(info.binning_x, 1), max(info.binning_y, 1)] + 0.5


CAMERAS = [
    camera_info(),
    camera_info(binning=(2, 2)),
    camera_info(roi=(200, 100, 640, 480)),
    camera_info(binning=(2, 4), roi=(96, 40, 800, 600), tx=-63.0),
]


@pytest.mark.parametrize("info", CAMERAS)
def test_points_project_as_through_p(info: SimpleNamespace) -> None:
    projection = Projection.from_camera_info(info)
    rng = np.random.default_rng(0)
    for _ in range(50):
        point = rng.uniform([-1, -1, 0.3], [1, 1, 8.0])
        assert projection.pixel(tuple(point)) == pytest.approx(project(info, point), abs=1e-9)


@pytest.mark.parametrize("info", CAMERAS)
@pytest.mark.parametrize("depth_m", [0.5, 1.0, 7.0])
def test_the_plane_fills_the_image_and_gives_clicks_back(
    info: SimpleNamespace, depth_m: float
) -> None:
    projection = Projection.from_camera_info(info)
    width = (info.roi.width or info.width) // max(info.binning_x, 1)
    height = (info.roi.height or info.height) // max(info.binning_y, 1)
    expected = [(0, 0), (width, 0), (width, height), (0, height)]
    for corner, pixel in zip(projection.plane_corners(depth_m), expected, strict=True):
        assert corner[2] == depth_m
        assert projection.pixel(corner) == pytest.approx(pixel, abs=1e-9)
    # Any other point on the ray of a pixel gives the same pixel: the plane's depth is free.
    x, y, z = projection.point_at((123.25, 77.5), depth_m)
    for scale in (0.4, 1.0, 3.0) if not info.p[3] else (1.0,):
        assert projection.pixel((x * scale, y * scale, z * scale)) == pytest.approx((123.25, 77.5))


def test_cameras_and_points_that_cannot_be_used() -> None:
    uncalibrated = camera_info()
    uncalibrated.p = [0.0] * 12
    with pytest.raises(ClickError, match="expected a calibrated camera"):
        Projection.from_camera_info(uncalibrated)
    with pytest.raises(ClickError, match="in front of the camera"):
        Projection.from_camera_info(camera_info()).pixel((0.0, 0.0, -1.0))


def test_two_clicks_in_any_order_make_the_same_box() -> None:
    for first, second in (((10, 20), (50, 60)), ((50, 60), (10, 20)), ((10, 60), (50, 20))):
        assert box_from_corners(first, second) == (10, 20, 40, 40)
    with pytest.raises(ClickError, match="at least 4 px apart"):
        box_from_corners((10, 10), (12, 60))


def test_a_first_click_is_forgotten_after_a_while() -> None:
    clicks = TwoClicks(timeout_s=5.0)
    assert clicks.click((10, 10), now_s=0.0) is None
    assert clicks.click((100, 100), now_s=6.0) is None  # a new first click
    assert clicks.click((140, 160), now_s=7.0) == (100, 100, 40, 60)
    assert clicks.click((1, 1), now_s=7.5) is None
