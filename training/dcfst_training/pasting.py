"""Masked objects of other images, pasted into crops: over the target, or beside it as rivals."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dcfst_training.crops import Image
from dcfst_training.datasets import Clip
from dcfst_training.datasets.clips import set_of
from dcfst_training.datasets.images import UnreadableFrameError
from dcfst_training.notices import warn_once

log = logging.getLogger(__name__)
LONGEST = 128
"""Longest side, px, at which objects are kept: a target in a crop has about half of that."""
MOST_COVERED = 0.6
"""Largest share of the target's box that a pasted object covers."""
_TRIES = 10


@dataclass(frozen=True)
class Cutout:
    """An object without its background."""

    image: Image
    alpha: NDArray[np.uint8]
    """(H, W) opacity, 0..255."""


class CutoutBank:
    """The objects of some clips that have masks, read when they are drawn and then kept."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self._clips = [clip for clip in clips if clip.mask is not None]
        self._kept: dict[int, Cutout | None] = {}
        self._of_set: dict[str, list[int]] = {}
        for index, clip in enumerate(self._clips):
            self._of_set.setdefault(set_of(clip.name), []).append(index)

    def __len__(self) -> int:
        return len(self._clips)

    def draw(self, like: Clip, rng: np.random.Generator) -> Cutout | None:
        """An object of another image than `like` shows: of the same set, and so of its kind, half
        of the time where it has masks. None where that one cannot be read, or is that image's."""
        same = self._of_set.get(set_of(like.name))
        pick = rng.random()
        index = int(rng.choice(same)) if same and pick < 0.5 else int(rng.integers(len(self)))
        if self._clips[index].origin == like.origin:
            return None
        if index not in self._kept:
            self._kept[index] = self._read(self._clips[index])
        return self._kept[index]

    def _read(self, clip: Clip) -> Cutout | None:
        try:
            return cut_out(clip)
        except UnreadableFrameError as error:
            warn_once(log, f"pasted nothing of {clip.name}: {error}")
            return None


def cut_out(clip: Clip) -> Cutout:
    """The object of a clip with a mask; raises UnreadableFrameError."""
    assert clip.mask is not None
    path, number = clip.mask
    image = clip.read(0)
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None or mask.shape != image.shape[:2]:
        raise UnreadableFrameError(
            f"expected a mask of {image.shape[1]} x {image.shape[0]} pixels in {path}; got "
            f"{'none' if mask is None else f'{mask.shape[1]} x {mask.shape[0]}'}"
        )
    own = mask == (number if (mask == number).any() else 255)
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    if not len(rows):
        raise UnreadableFrameError(f"expected object {number} in {path}; it has no pixel")
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    alpha = own[part].astype(np.uint8) * 255
    scale = min(1.0, LONGEST / max(alpha.shape))
    size = tuple(max(2, round(length * scale)) for length in alpha.shape[::-1])
    return Cutout(
        cv2.resize(image[part], size, interpolation=cv2.INTER_AREA),
        cv2.resize(alpha, size, interpolation=cv2.INTER_AREA),
    )


def paste_over(
    image: Image, box_xywh: NDArray[np.float64], cutout: Cutout, rng: np.random.Generator
) -> Image:
    """Paste an object over a part of the target, at most `MOST_COVERED` of its box (S, S, 3)."""
    x, y, w, h = box_xywh
    cutout = _sized(cutout, np.sqrt(w * h) * rng.uniform(0.5, 1.0), rng)
    for _ in range(_TRIES):
        centre = np.array([x + w / 2, y + h / 2]) + rng.uniform(-0.7, 0.7, 2) * [w, h]
        layer = _placed(image, cutout, centre)
        if layer is not None and 0 < _covered(layer, box_xywh) <= MOST_COVERED:
            return _blended(image, *layer)
    return image


def paste_beside(
    image: Image, box_xywh: NDArray[np.float64], cutout: Cutout, rng: np.random.Generator
) -> Image:
    """Paste an object of about the target's size where the target is not (S, S, 3)."""
    size = np.sqrt(box_xywh[2] * box_xywh[3])
    cutout = _sized(cutout, size * np.exp(rng.normal(0, 0.25)), rng)
    for _ in range(_TRIES):
        layer = _placed(image, cutout, rng.uniform(0, image.shape[0], 2))
        if layer is not None and not _covered(layer, box_xywh):
            return _blended(image, *layer)
    return image


def _sized(cutout: Cutout, size: float, rng: np.random.Generator) -> Cutout:
    """An object with sides of the given geometric mean, mirrored half of the time."""
    height, width = cutout.alpha.shape
    scale = size / np.sqrt(height * width)
    shape = (max(2, round(width * scale)), max(2, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    parts = [cv2.resize(part, shape, interpolation=way) for part in (cutout.image, cutout.alpha)]
    if rng.random() < 0.5:
        parts = [part[:, ::-1] for part in parts]
    return Cutout(*parts)


Layer = tuple[slice, slice, Cutout]
"""Rows and columns of an image, and what is pasted there."""


def _placed(image: Image, cutout: Cutout, centre: NDArray[np.float64]) -> Layer | None:
    """Where an object lies whose middle is at `centre`, cut at the border; None if outside."""
    height, width = cutout.alpha.shape
    left, top = round(centre[0] - width / 2), round(centre[1] - height / 2)
    rows = slice(max(top, 0), min(top + height, image.shape[0]))
    columns = slice(max(left, 0), min(left + width, image.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    inner = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    return rows, columns, Cutout(cutout.image[inner], cutout.alpha[inner])


def _covered(layer: Layer, box_xywh: NDArray[np.float64]) -> float:
    """Share of a box that an object hides."""
    rows, columns, cutout = layer
    x, y, w, h = box_xywh
    ys = slice(max(round(y) - rows.start, 0), max(round(y + h) - rows.start, 0))
    xs = slice(max(round(x) - columns.start, 0), max(round(x + w) - columns.start, 0))
    return float(cutout.alpha[ys, xs].sum() / 255 / (w * h))


def _blended(image: Image, rows: slice, columns: slice, cutout: Cutout) -> Image:
    below = image[rows, columns].astype(np.uint16)
    alpha = cutout.alpha[..., None].astype(np.uint16)
    mixed = (cutout.image * alpha + below * (255 - alpha) + 127) // 255
    image = image.copy()
    image[rows, columns] = mixed.astype(np.uint8)
    return image
