"""How far the scene moved in the image from one frame to the next: the camera's own motion.

A pan-tilt head, a drone or a hand moves the whole image, often farther than the target moves in
the scene. Phase correlation of two small gray frames measures it in half a millisecond, with
nothing of the network. Not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

# Width of the images that are correlated, px: steps are found to a tenth of such a pixel.
_WIDTH = 160
# So many rows of a large frame are enough for that, and sooner read.
_ROWS = 240
# The peak's share of the correlation: above it one step in twenty is wrong (docs/judgement.md).
_LEAST_RESPONSE = 0.3
# Of longer steps, as a share of the width, the frames have too little in common.
_LONGEST_STEP = 0.4

GrayImage = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scene:
    """What is kept of one frame, to tell how the next one is shifted."""

    gray: GrayImage
    """(h, _WIDTH), less its mean, and faded out towards the edges: they would correlate with
    themselves."""
    scale: float
    """Its pixels for one of the frame's."""

    @classmethod
    def of(cls, frame_rgb: NDArray[np.uint8]) -> Scene:
        """The scene of a frame (H, W, 3)."""
        height, width = frame_rgb.shape[:2]
        scale = _WIDTH / width
        size = (_WIDTH, max(2, round(height * scale)))
        rows = frame_rgb[:: max(1, height // _ROWS)]
        small = cv2.resize(rows, size, interpolation=cv2.INTER_AREA)
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        # Not by phaseCorrelate, which multiplies what it is given in place.
        return cls((gray - gray.mean()) * _window(size), scale)

    def shift_from(self, before: Scene) -> tuple[float, float] | None:
        """By how much (x, y), px of the frame, what stands still was moved in the image since
        `before`; None where that cannot be told."""
        if before.gray.shape != self.gray.shape:
            return None
        (x, y), response = cv2.phaseCorrelate(before.gray, self.gray)
        clear = response >= _LEAST_RESPONSE and max(abs(x), abs(y)) <= _LONGEST_STEP * _WIDTH
        return (x / self.scale, y / self.scale) if clear else None


@lru_cache(maxsize=8)
def _window(size: tuple[int, int]) -> GrayImage:
    return np.asarray(cv2.createHanningWindow(size, cv2.CV_32F), dtype=np.float32)
