"""Textured targets that move over textured backgrounds, drawn on demand: no files needed.

For smoke tests and for `configs/debug.yaml`: the motion, the scale and the box are known exactly.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dcfst_training.datasets.clips import Clip

WIDTH, HEIGHT = 320, 240


class MovingTargets:
    """`count` clips of `length` frames; clip i is the same in every run."""

    def __init__(self, count: int = 64, length: int = 20, seed: int = 0) -> None:
        self.name = "synthetic"
        self.count, self.length, self.seed = count, length, seed

    def __len__(self) -> int:
        return self.count

    def origin(self, index: int) -> str:
        """The clip itself."""
        return f"{self.name}/{index}"

    def clip(self, index: int) -> Clip:
        """A target on a smooth random path that slowly changes its size."""
        rng = np.random.default_rng([self.seed, index])
        size = rng.uniform(30, 60, 2)
        phase, speed = rng.uniform(0, 6.3, 4), rng.uniform(0.05, 0.2, 4)
        time = np.arange(self.length)
        wave = np.sin(phase[:, None] + speed[:, None] * time)
        scale = 1 + 0.2 * wave[2]
        wh = size[:, None] * scale
        centre = np.stack((WIDTH * (0.5 + 0.3 * wave[0]), HEIGHT * (0.5 + 0.25 * wave[1])))
        boxes = np.concatenate((centre - wh / 2, wh)).T
        texture, background = _texture(rng, 64, 64), _texture(rng, HEIGHT, WIDTH)

        def draw(path: Path) -> NDArray[np.uint8]:
            return _paste(background, texture, boxes[int(path.stem)])

        frames = tuple(Path(f"{number}") for number in time)
        return Clip(self.origin(index), frames, boxes, draw)


def _texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Smooth coloured noise of two octaves."""
    total = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((6, 0.6), (24, 0.4)):
        coarse = rng.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
        total += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return total.clip(0, 255).astype(np.uint8)


def _paste(
    background: NDArray[np.uint8], texture: NDArray[np.uint8], box_xywh: NDArray[np.float64]
) -> NDArray[np.uint8]:
    x, y, w, h = box_xywh
    rows, cols = texture.shape[:2]
    # Continuous coordinates: texture pixel i covers [i, i + 1), so half a pixel enters twice.
    sx, sy = w / cols, h / rows
    matrix = np.array([[sx, 0, x + sx / 2 - 0.5], [0, sy, y + sy / 2 - 0.5]])
    size = background.shape[1::-1]
    layer = cv2.warpAffine(texture, matrix, size, flags=cv2.INTER_LINEAR)
    mask = cv2.warpAffine(np.ones((rows, cols), np.float32), matrix, size)[..., None]
    return (background * (1 - mask) + layer * mask).round().astype(np.uint8)
