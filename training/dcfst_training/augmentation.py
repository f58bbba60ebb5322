"""What changes a crop's look but not where its target is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """Strengths; the paper names flip and colour jitter, the rest hardens synthetic pairs."""

    flip_probability: float = 0.5
    grey_probability: float = 0.05
    brightness: float = 0.2
    """Largest relative change of brightness, contrast and saturation."""
    blur_probability: float = 0.15
    blur_sigma: float = 2.5
    """Largest sigma, patch px; half of the blurs are along one direction (motion)."""
    cover_probability: float = 0.15
    """How often a patch of the crop's own background is pasted over a part of the target."""
    noise: float = 6.0
    """Largest sigma of added noise, grey levels."""

    def look(self, image: Image, rng: np.random.Generator) -> Image:
        """Jitter colour, blur and noise of one crop (S, S, 3) in 0..255."""
        image = self._colour(image, rng)
        if rng.random() < self.blur_probability:
            image = self._blur(image, rng)
        sigma = rng.uniform(0, self.noise) if rng.random() < 0.3 else 0.0
        if sigma:
            image = image + rng.normal(0, sigma, image.shape).astype(np.float32)
        return image.clip(0, 255)

    def _colour(self, image: Image, rng: np.random.Generator) -> Image:
        bright, contrast, saturation = rng.uniform(-self.brightness, self.brightness, 3) + 1
        grey = image.mean(axis=2, keepdims=True)
        image = (grey + saturation * (image - grey)) * bright
        mean = image.mean()
        return (mean + contrast * (image - mean)).astype(np.float32)

    def _blur(self, image: Image, rng: np.random.Generator) -> Image:
        sigma = rng.uniform(0.5, self.blur_sigma)
        if rng.random() < 0.5:
            return cv2.GaussianBlur(image, (0, 0), sigma)
        length = int(2 * sigma + 1) * 2 + 1
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        reach = (length // 2) * np.array([np.cos(angle), np.sin(angle)])
        middle = length // 2
        start, stop = np.round(middle - reach), np.round(middle + reach)
        cv2.line(kernel, start.astype(int).tolist(), stop.astype(int).tolist(), 1.0)
        return cv2.filter2D(image, -1, kernel / kernel.sum())

    def cover(
        self, image: Image, box_xywh: NDArray[np.float64], rng: np.random.Generator
    ) -> Image:
        """Paste a piece from elsewhere in the crop over up to half of the target."""
        if rng.random() >= self.cover_probability:
            return image
        size = image.shape[0]
        x, y, w, h = box_xywh
        share = rng.uniform(0.2, 0.5)
        cw, ch = (share * w, h) if rng.random() < 0.5 else (w, share * h)
        cw, ch = int(max(cw, 2)), int(max(ch, 2))
        cx = int(np.clip(x + rng.uniform(-0.1, 1.1) * (w - cw), 0, max(size - cw, 0)))
        cy = int(np.clip(y + rng.uniform(-0.1, 1.1) * (h - ch), 0, max(size - ch, 0)))
        sx, sy = rng.integers(0, max(size - cw, 1)), rng.integers(0, max(size - ch, 1))
        covered = image.copy()
        piece = image[sy : sy + ch, sx : sx + cw]
        covered[cy : cy + piece.shape[0], cx : cx + piece.shape[1]] = piece[
            : size - cy, : size - cx
        ]
        return covered


def to_grey(image: Image) -> Image:
    """The luminance in all three channels."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return np.repeat((image @ weights)[..., None], 3, axis=2)
