"""What is drawn on a frame to hide a target or to confuse a tracker; boxes are x, y, w, h."""

from __future__ import annotations

import cv2
import numpy as np

from dcfst_core.evaluation.metrics import FloatArray
from dcfst_core.evaluation.synthetic import texture
from dcfst_core.media.video import Frame

# How far "removed" and "covered" reach beyond the box: published boxes cut off hands and feet.
COVER = 1.2


def remove_target(frame_rgb: Frame, box_xywh: np.ndarray) -> Frame:
    """Paint a box, enlarged by a fifth, over from its surroundings; returns a new frame."""
    left, top, right, bottom = _clipped(grown(box_xywh, COVER), frame_rgb)
    # Inpainting works on a neighbourhood only: it is slow on a whole frame.
    margin = 16
    x0, y0 = max(left - margin, 0), max(top - margin, 0)
    window = frame_rgb[y0 : bottom + margin, x0 : right + margin]
    mask = np.zeros(window.shape[:2], dtype=np.uint8)
    mask[top - y0 : bottom - y0, left - x0 : right - x0] = 255
    out = frame_rgb.copy()
    if mask.any() and not mask.all():
        painted = cv2.inpaint(np.ascontiguousarray(window), mask, 5, cv2.INPAINT_TELEA)
        out[y0 : bottom + margin, x0 : right + margin] = painted
    return out


def cover_target(frame_rgb: Frame, box_xywh: np.ndarray) -> Frame:
    """Cover a box, enlarged by a fifth, with the frame's far side; returns a new frame."""
    left, top, right, bottom = _clipped(grown(box_xywh, COVER), frame_rgb)
    height, width = frame_rgb.shape[:2]
    out = frame_rgb.copy()
    w, h = right - left, bottom - top
    if w <= 0 or h <= 0:
        return out
    x = 0 if left + w / 2 > width / 2 else width - w
    y = 0 if top + h / 2 > height / 2 else height - h
    out[top:bottom, left:right] = frame_rgb[y : y + h, x : x + w]
    return out


def draw_patch(frame_rgb: Frame, box_xywh: np.ndarray, seed: int) -> Frame:
    """Cover a box with a texture that moves and grows with it; returns a new frame.

    `seed` chooses the texture, which is the same for every frame.
    """
    x, y, w, h = (float(v) for v in box_xywh)
    left, top = int(np.floor(x)), int(np.floor(y))
    right, bottom = int(np.ceil(x + w)), int(np.ceil(y + h))
    pattern = texture(np.random.default_rng(seed), (64, 64), grain=9, contrast=60.0)
    grey = pattern.mean(axis=2, keepdims=True)
    pattern = np.rint(grey + 0.3 * (pattern - grey)).astype(np.uint8)  # no colours of a test card
    patch = cv2.resize(pattern, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    out = frame_rgb.copy()
    _paste(out, np.asarray(patch, dtype=np.uint8), left, top)
    return out


def draw_copy(frame_rgb: Frame, box_xywh: np.ndarray, copy_xywh: np.ndarray) -> Frame:
    """Draw a box's pixels once more with its left, top at `copy_xywh`, behind the box itself."""
    left, top, right, bottom = _clipped(box_xywh, frame_rgb)
    target = frame_rgb[top:bottom, left:right]
    out = frame_rgb.copy()
    # The same whole pixels are moved, so that the copy is exact.
    x, y = (round(float(v)) for v in copy_xywh[:2] - box_xywh[:2])
    _paste(out, target, left + x, top + y)
    out[top:bottom, left:right] = target
    return out


def grown(box_xywh: np.ndarray, factor: float) -> FloatArray:
    """Return boxes (..., 4) enlarged about their centres."""
    box = np.asarray(box_xywh, dtype=np.float64)
    larger = box[..., 2:] * factor
    return np.concatenate((box[..., :2] + (box[..., 2:] - larger) / 2, larger), axis=-1)


def visible_fraction(boxes_xywh: FloatArray, patches_xywh: FloatArray) -> FloatArray:
    """Return the share of each box (N, 4) that no patch (N, 4) hides; a NaN patch hides none."""
    low = np.maximum(boxes_xywh[:, :2], patches_xywh[:, :2])
    high = np.minimum(
        boxes_xywh[:, :2] + boxes_xywh[:, 2:], patches_xywh[:, :2] + patches_xywh[:, 2:]
    )
    hidden = np.clip(high - low, 0, None).prod(axis=1) / boxes_xywh[:, 2:].prod(axis=1)
    visible = np.asarray(1 - np.nan_to_num(hidden))
    visible[visible < 1e-9] = 0.0  # rounding of a box that is hidden to the edge
    return visible


def _paste(frame: Frame, patch: Frame, left: int, top: int) -> None:
    """Draw a patch in place; what lies outside of the frame is left out."""
    height, width = frame.shape[:2]
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + patch.shape[1], width), min(top + patch.shape[0], height)
    if x0 < x1 and y0 < y1:
        frame[y0:y1, x0:x1] = patch[y0 - top : y1 - top, x0 - left : x1 - left]


def _clipped(box_xywh: np.ndarray, frame: Frame) -> tuple[int, int, int, int]:
    """A box's left, top, right, bottom in whole pixels inside the frame."""
    x, y, w, h = (float(v) for v in box_xywh)
    height, width = frame.shape[:2]
    left, right = (int(np.clip(v, 0, width)) for v in (x, np.ceil(x + w)))
    top, bottom = (int(np.clip(v, 0, height)) for v in (y, np.ceil(y + h)))
    return left, top, right, bottom
