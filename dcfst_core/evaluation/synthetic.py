"""A small synthetic clip with exact true boxes: for smoke tests, benchmarks and demonstrations.

It says nothing about accuracy on real video; the data sets are for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from dcfst_core.evaluation.metrics import FloatArray
from dcfst_core.media.video import Frame


@dataclass(frozen=True)
class SyntheticClip:
    """A textured target on a smooth path over a textured background.

    frames: length. size: width, height of a frame in pixels. target: width, height of the target.
    The path closes on itself after `period` frames and is drawn with sub-pixel shifts.
    """

    frames: int = 120
    size: tuple[int, int] = (640, 480)
    target: tuple[int, int] = (64, 80)
    period: int = 120
    seed: int = 0

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[Frame]:
        rng = np.random.default_rng(self.seed)
        background = texture(rng, self.size, grain=24, contrast=60.0)
        patch = texture(rng, self.target, grain=7, contrast=110.0)
        for x, y, _, _ in self.boxes_xywh():
            yield _paste(background, patch, x, y)

    def boxes_xywh(self) -> FloatArray:
        """Return the true box of each frame, (frames, 4), in continuous pixels."""
        phase = 2 * np.pi * np.arange(self.frames) / self.period
        (width, height), (w, h) = self.size, self.target
        x = (width - w) * (0.5 + 0.3 * np.sin(phase))
        y = (height - h) * (0.5 + 0.25 * np.sin(2 * phase))
        return np.column_stack((x, y, np.full(self.frames, w), np.full(self.frames, h)))


def texture(rng: np.random.Generator, size: tuple[int, int], grain: int, contrast: float) -> Frame:
    """Return smooth random colours (h, w, 3) uint8.

    `size`: width, height. `grain`: pixels between independent colours. `contrast`: their standard
    deviation about mid-grey.
    """
    width, height = size
    coarse = rng.normal(0, 1, (height // grain + 2, width // grain + 2, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(127 + contrast * smooth, 0, 255).astype(np.uint8)


def _paste(background: Frame, patch: Frame, x: float, y: float) -> Frame:
    """Draw the patch with its left, top edge at (x, y) in continuous pixels."""
    height, width = background.shape[:2]
    shift = np.array([[1, 0, x], [0, 1, y]], dtype=np.float64)
    moved = cv2.warpAffine(patch.astype(np.float32), shift, (width, height))
    mask = cv2.warpAffine(np.ones(patch.shape[:2], np.float32), shift, (width, height))
    mask = mask[..., None]
    return np.rint(moved + (1 - mask) * background).clip(0, 255).astype(np.uint8)
