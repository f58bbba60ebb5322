"""What changes a crop's look but not where its target is. Images are 8-bit RGB throughout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dcfst_training.crops import Image
from dcfst_training.datasets import Clip
from dcfst_training.pasting import CutoutBank, paste_beside, paste_over

_LUMINANCE = np.array([0.299, 0.587, 0.114])
_NOISY = 0.3  # share of the crops that noise is added to
_NORMAL = np.random.default_rng(0).standard_normal(2**20, np.float32)


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
    occluder_probability: float = 0.1
    """How often a masked object of another image is pasted over a part of the target."""
    distractor_probability: float = 0.15
    """How often one is pasted beside the target."""
    noise: float = 6.0
    """Largest sigma of added noise, grey levels."""

    def look(
        self, images: Sequence[Image], rng: np.random.Generator, grey: bool = False
    ) -> list[Image]:
        """Jitter colour, blur and noise of crops (S, S, 3) of one frame, all in the same way.

        `grey` takes their colour away.
        """
        colours = self._colours(images[0], rng, grey)
        images = [cv2.transform(image, colours) for image in images]
        if rng.random() < self.blur_probability:
            blur = self._blur(rng)
            images = [blur(image) for image in images]
        sigma = rng.uniform(0, self.noise) if rng.random() < _NOISY else 0.0
        return [_add_noise(image, sigma, rng) for image in images] if sigma else images

    def _colours(self, image: Image, rng: np.random.Generator, grey: bool) -> NDArray[np.float64]:
        """Brightness, contrast, saturation and greyness as one affine map (3, 4) of a pixel."""
        bright, contrast, saturation = rng.uniform(-self.brightness, self.brightness, 3) + 1
        matrix = saturation * np.eye(3) + (1 - saturation) / 3
        # Contrast spreads the values about the image's mean, which saturation leaves as it is.
        offset = (1 - contrast) * bright * np.mean(cv2.mean(image)[:3])
        affine = np.column_stack((contrast * bright * matrix, np.full(3, offset)))
        return np.tile(_LUMINANCE @ affine, (3, 1)) if grey else affine

    def _blur(self, rng: np.random.Generator) -> Callable[[Image], Image]:
        sigma = rng.uniform(0.5, self.blur_sigma)
        if rng.random() < 0.5:
            return lambda image: cv2.GaussianBlur(image, (0, 0), sigma)
        length = int(2 * sigma + 1) * 2 + 1
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        reach = (length // 2) * np.array([np.cos(angle), np.sin(angle)])
        middle = length // 2
        start, stop = np.round(middle - reach), np.round(middle + reach)
        cv2.line(kernel, start.astype(int).tolist(), stop.astype(int).tolist(), 1.0)
        return lambda image: cv2.filter2D(image, -1, kernel / kernel.sum())

    def paste(
        self,
        image: Image,
        box_xywh: NDArray[np.float64],
        clip: Clip,
        cutouts: CutoutBank,
        rng: np.random.Generator,
    ) -> Image:
        """Paste masked objects of other images into a crop that shows `clip`'s target."""
        for probability, paste in (
            (self.distractor_probability, paste_beside),
            (self.occluder_probability, paste_over),
        ):
            if rng.random() < probability and (cutout := cutouts.draw(clip, rng)):
                image = paste(image, box_xywh, cutout, rng)
        return image

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


def _add_noise(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    # Drawing a normal number for each value takes longer than all else; a place in a table is one.
    start = int(rng.integers(len(_NORMAL) - image.size))
    noise = _NORMAL[start : start + image.size].reshape(image.shape)
    return cv2.add(image, noise * np.float32(sigma), dtype=cv2.CV_8U)
