"""Cut square regions out of 8-bit images on the host, as `tracking/patch` does on the device.

Four times quicker than there, because a warp of bytes needs no conversion to floating point.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from dcfst_core.tracking.patch import SearchRegion

Image = NDArray[np.uint8]


def crop_image(image: Image, region: SearchRegion, flip: bool = False) -> Image:
    """One region of an image (H, W, 3) as a patch (S, S, 3), mirrored if `flip`.

    As `tracking.patch.crop_region`: a shrinking factor of k or more averages k x k pixels first,
    then the patch is sampled bilinearly, with the border's pixels repeated outside of the image.
    """
    height, width = image.shape[:2]
    factor = max(1, int(region.side / region.patch_size))
    half = region.side / 2
    left, right = _covered(region.centre_x - half, region.centre_x + half, width, factor)
    top, bottom = _covered(region.centre_y - half, region.centre_y + half, height, factor)
    piece = image[top:bottom, left:right]
    if factor > 1:
        piece = _average(piece, factor)
    # Continuous coordinates: pixel i covers [i, i + 1), so half a pixel enters on both sides.
    size, step = region.patch_size, 1 / (region.scale * factor)
    first_x = (region.centre_x - half - left) / factor + step / 2 - 0.5
    first_y = (region.centre_y - half - top) / factor + step / 2 - 0.5
    piece, before_x, before_y = _padded(piece, first_x, first_y, (size - 1) * step)
    matrix = np.array([[step, 0, first_x + before_x], [0, step, first_y + before_y]])
    if flip:
        matrix[0] = [-step, 0, matrix[0, 2] + (size - 1) * step]
    # OpenCV warps four channels in a third of the time that three take.
    patch = cv2.warpAffine(
        cv2.cvtColor(piece, cv2.COLOR_RGB2RGBA),
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.cvtColor(patch, cv2.COLOR_RGBA2RGB)


def _padded(piece: Image, x: float, y: float, extent: float) -> tuple[Image, int, int]:
    """A piece with its border repeated where samples from (x, y) over `extent` lie outside of it,
    and how much was put before it: a warp that looks for its border itself takes twice as long."""
    height, width = piece.shape[:2]
    before_x, before_y = max(0, -math.floor(x)), max(0, -math.floor(y))
    after_x = max(0, math.floor(x + extent) + 2 - width)
    after_y = max(0, math.floor(y + extent) + 2 - height)
    if before_x or before_y or after_x or after_y:
        around = (before_y, after_y, before_x, after_x)
        piece = cv2.copyMakeBorder(piece, *around, cv2.BORDER_REPLICATE)
    return piece, before_x, before_y


def _covered(low: float, high: float, size: int, factor: int) -> tuple[int, int]:
    """The pixel range [start, stop) that a region needs along one axis: at least one pixel."""
    start = min(max(math.floor(low) - 2 * factor, 0), size - 1) // factor * factor
    return start, min(max(math.ceil(high) + 2 * factor, start + 1), size)


def _average(piece: Image, factor: int) -> Image:
    rows, columns = (-(-length // factor) for length in piece.shape[:2])
    below, right = rows * factor - piece.shape[0], columns * factor - piece.shape[1]
    if below or right:
        piece = cv2.copyMakeBorder(piece, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return cv2.resize(piece, (columns, rows), interpolation=cv2.INTER_AREA)
