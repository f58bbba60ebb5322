"""Candidate boxes around a target, and away from it, for training the IoU predictor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIGMAS = (0.01, 0.05, 0.1, 0.2, 0.3)
MIN_IOU = 0.1  # of a box that lies on the target


def draw_proposals(
    box_xywh: NDArray[np.float64], count: int, rng: np.random.Generator, min_iou: float = MIN_IOU
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes xyxy (count, 4) with mixed Gaussian displacements, and their IoU (count,) in [0, 1].

    Centres move by fractions of the box's size and sizes by their logarithm; draws under `min_iou`
    are replaced by other draws (ATOM).
    """
    x, y, w, h = box_xywh
    wh = np.array([w, h])
    centre = np.array([x, y]) + wh / 2
    tries = 4 * count
    sigma = rng.choice(SIGMAS, size=(tries, 1))
    centres = centre + rng.normal(size=(tries, 2)) * sigma * wh
    sizes = wh * np.exp(rng.normal(size=(tries, 2)) * sigma)
    boxes, ious = _boxes_and_ious(centres, sizes, box_xywh)
    good = np.flatnonzero(ious >= min_iou)
    # A pathological draw leaves too few: the best ones are then used more than once.
    order = np.resize(good, count) if len(good) else np.argsort(-ious)[:count]
    return boxes[order], ious[order]


def draw_elsewhere(
    box_xywh: NDArray[np.float64], patch_size: int, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes xyxy (count, 4) of the target's size where the target is not, and their IoU (count,).

    Their centres are uniform over the patch, a box's width or height at least from the target's.
    """
    x, y, w, h = box_xywh
    wh = np.array([w, h])
    tries = 8 * count
    centres = rng.uniform(0, patch_size, size=(tries, 2))
    away = (np.abs(centres - np.array([x, y]) - wh / 2) / wh).max(axis=1)
    # A target that fills the patch leaves no room: the farthest draws are then the best there are.
    centres = centres[np.argsort(-np.minimum(away, 1.0), kind="stable")[:count]]
    sizes = wh * np.exp(rng.normal(scale=0.2, size=(count, 2)))
    return _boxes_and_ious(centres, sizes, box_xywh)


def _boxes_and_ious(
    centres: NDArray[np.float64], sizes: NDArray[np.float64], box_xywh: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes xyxy (R, 4) from centres and sizes (R, 2), and their IoU (R,) with the target."""
    boxes = np.concatenate((centres - sizes / 2, centres + sizes / 2), axis=1)
    # In numpy: at this size a tensor operation costs ten times its arithmetic.
    low = np.array(box_xywh[:2])
    high = low + box_xywh[2:]
    overlap = np.minimum(boxes[:, 2:], high) - np.maximum(boxes[:, :2], low)
    shared = overlap.clip(min=0).prod(axis=1)
    return boxes, shared / (sizes.prod(axis=1) + (high - low).prod() - shared)
