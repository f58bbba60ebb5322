"""How much a target grew in the image since the last frame, told by the flow of points on it.

The IoU predictor knows how large the target was in the frame in which it was given, and what it
knows of another view leans to one side. How much the target *grew* since the last frame needs no
such knowledge: points on it went apart. Lucas and Kanade's flow finds them again, those that do
not come back by the flow backwards are left out, and the median of all pairs' stretches is taken,
as Median Flow does (Kalal, Mikolajczyk and Matas, ICPR 2010), along each axis. Not in the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dcfst_core.boxes import BoxXYWH

# A close-up shows so many times the target's longer side or, if that is more, of sqrt(w h).
_AROUND_LONG, _AROUND = 1.3, 2.0
# Its side, px: enlarged, a small target has room for the windows that are compared.
_SIDE = 96
# Points along each side of the box, within that share of it.
_POINTS, _WITHIN = 7, 0.9
_WINDOW, _LEVELS = (11, 11), 2
_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)
# Of points on something as flat as the sky the flow tells nothing: the least eigenvalue of their
# windows' gradients. (With OpenCV's own limit, a tenth, an airplane grew by a tenth a frame.)
_LEAST_TEXTURE = 1e-3
# Points that come back farther from where they were are lost, and so is the half that does worst.
_RETURN_ERROR = 1.0
_LEAST_POINTS = 8
# Pairs nearer to each other along an axis say little about the stretch along it.
_LEAST_APART = 0.25
# Standard deviation of the best measurement, and, px, what an image pixel's share of a size adds.
_FLOOR, _PIXEL_ERROR = 0.02, 0.6

GrayImage = NDArray[np.uint8]


class Growth(NamedTuple):
    """Changes of a target's log width and log height from one frame to the next."""

    log_width: float
    log_height: float
    deviation: float
    """Standard deviation of either's error."""


@dataclass(frozen=True, eq=False)
class CloseUp:
    """What is kept of a target in one frame, to tell how much it has grown in the next."""

    gray: GrayImage
    """(_SIDE, _SIDE), the target in its middle."""
    box_wh: tuple[float, float]
    """The target's size, image px."""

    @classmethod
    def of(cls, frame_rgb: NDArray[np.uint8], box_xywh: BoxXYWH) -> CloseUp:
        """The close-up of a target at this box in a frame (H, W, 3)."""
        x, y, w, h = box_xywh
        return cls(_cut(frame_rgb, x + w / 2, y + h / 2, _seen(w, h)), (w, h))

    def growth_at(self, frame_rgb: NDArray[np.uint8], x: float, y: float) -> Growth | None:
        """How much the target has grown in the next frame (H, W, 3), where its centre is about
        at (x, y); None where too few of its points are found again."""
        w, h = self.box_wh
        side = _seen(w, h)
        scale = _SIDE / side
        later = _cut(frame_rgb, x, y, side)
        points, found = _same_points(self.gray, later, w * scale, h * scale)
        if len(points) < _LEAST_POINTS:
            return None
        across = _stretch(points[:, 0], found[:, 0], _LEAST_APART * w * scale)
        down = _stretch(points[:, 1], found[:, 1], _LEAST_APART * h * scale)
        if across is None or down is None:
            return None
        (wider, spread_x), (higher, spread_y) = across, down
        # What stretches along one axis alone has hold of something else, most often.
        uneven = (wider - higher) / 2
        spread = max(spread_x, spread_y)
        deviation = math.hypot(_FLOOR, spread, uneven, _PIXEL_ERROR / min(w, h))
        return Growth(wider, higher, deviation)


def _seen(width: float, height: float) -> float:
    """The side of a close-up of a target with such a size, image px."""
    return max(_AROUND_LONG * max(width, height), _AROUND * math.sqrt(width * height))


def _cut(frame_rgb: NDArray[np.uint8], x: float, y: float, side: float) -> GrayImage:
    """A square of the frame around (x, y), gray and resized; borders are repeated."""
    height, width = frame_rgb.shape[:2]
    left, right = _covered(x - side / 2, x + side / 2, width)
    top, bottom = _covered(y - side / 2, y + side / 2, height)
    gray = cv2.cvtColor(frame_rgb[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    # A large target is averaged first, or fine detail would alias.
    factor = max(1, int(side / _SIDE))
    if factor > 1:
        cells = math.ceil((right - left) / factor), math.ceil((bottom - top) / factor)
        gray = cv2.resize(gray, cells, interpolation=cv2.INTER_AREA)
    rows, columns = gray.shape
    steps = (right - left) / columns, (bottom - top) / rows
    scales = [side / _SIDE / step for step in steps]
    # From the middle of a close-up's pixel to that of the piece's, both counted from the first.
    corners = [
        (place - side / 2 - start + 0.5 * side / _SIDE) / step - 0.5
        for place, start, step in zip((x, y), (left, top), steps, strict=True)
    ]
    matrix = np.array([[scales[0], 0.0, corners[0]], [0.0, scales[1], corners[1]]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(gray, matrix, (_SIDE, _SIDE), flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, dtype=np.uint8)


def _covered(low: float, high: float, size: int) -> tuple[int, int]:
    """The pixel range [start, stop) of an interval along one axis: at least one pixel."""
    start = min(max(math.floor(low) - 1, 0), size - 1)
    return start, min(max(math.ceil(high) + 1, start + 1), size)


def _same_points(
    before: GrayImage, later: GrayImage, width: float, height: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points (N, 2) of a box of this size in the middle of a close-up, and where they went."""
    steps = _WITHIN * ((np.arange(_POINTS) + 0.5) / _POINTS - 0.5)
    middle = _SIDE / 2 - 0.5
    grid = np.meshgrid(middle + width * steps, middle + height * steps)
    points = np.stack(grid, axis=-1).reshape(-1, 1, 2).astype(np.float32)
    found, there = _flow(before, later, points)
    back, here = _flow(later, before, found)
    error = np.linalg.norm((back - points)[:, 0], axis=1)
    known = there & here
    kept = known & (error < _RETURN_ERROR)
    if kept.any():
        kept &= error <= np.median(error[known])
    return points[kept, 0], found[kept, 0]


def _flow(
    before: GrayImage, later: GrayImage, points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where points (N, 1, 2) went, and whether that is known (N,)."""
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        before,
        later,
        points,
        points.copy(),
        winSize=_WINDOW,
        maxLevel=_LEVELS,
        criteria=_CRITERIA,
        minEigThreshold=_LEAST_TEXTURE,
    )
    return np.asarray(found, dtype=np.float32), np.asarray(status)[:, 0] > 0


def _stretch(
    before: NDArray[np.float32], later: NDArray[np.float32], apart: float
) -> tuple[float, float] | None:
    """The log of the median stretch of all pairs of coordinates (N,), and its robust deviation."""
    first, second = np.triu_indices(len(before), k=1)
    distance = before[first] - before[second]
    far = np.abs(distance) > apart
    if not far.any():
        return None
    stretches = (later[first] - later[second])[far] / distance[far]
    median = float(np.median(stretches))
    if median <= 0:
        return None
    spread = 1.48 * float(np.median(np.abs(stretches - median)))
    return math.log(median), spread
