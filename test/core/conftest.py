"""What tests of several parts of the core share: the packaged network, and drawn scenes."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from dcfst_core.network.checkpoint import load_model
from dcfst_core.network.model import DCFSTNet
from dcfst_core.track import Evidence

Scene = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def model() -> DCFSTNet:
    """The network that is shipped; trackers copy it."""
    return load_model()


def _texture(seed: int, height: int, width: int, cells: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255)


@pytest.fixture(scope="session")
def scene() -> Scene:
    """A function that draws a frame of 320 x 240 with a textured target of 40 x 48 on it.

    Its left, top corner lies at sub-pixel (x, y), by bilinear resampling.
    """
    background = 0.5 * _texture(1, 240, 320, 20) + 60
    target = _texture(2, 48, 40, 6)

    def draw(x: float, y: float, with_target: bool = True, size: float = 1.0) -> np.ndarray:
        if not with_target:
            return background.astype(np.uint8)
        matrix = np.array([[size, 0.0, x], [0.0, size, y]])
        layer = cv2.warpAffine(target, matrix, (320, 240))
        mask = cv2.warpAffine(np.ones(target.shape[:2], np.float32), matrix, (320, 240))
        mask = mask[..., None]
        return (background * (1 - mask) + layer * mask).round().astype(np.uint8)

    return draw


@pytest.fixture(scope="session")
def evidence() -> Callable[..., Evidence]:
    """A function that makes evidence: of a target as it is usually seen, but for what is given."""

    def make(**values: float) -> Evidence:
        usual = {
            "peak": 0.8,
            "second_peak": 0.1,
            "predicted_iou": 0.8,
            "box_spread": 0.02,
            "likeness_first": 0.9,
            "likeness": 0.9,
            "distance": 0.1,
            "size_change": 0.02,
            "aspect_change": 0.02,
        }
        return Evidence(**{**usual, **values})

    return make
