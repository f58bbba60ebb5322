"""Which two frames make a training pair: a set by weight, a clip, two near frames that show it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcfst_training.datasets import Clip, ClipSet
from dcfst_training.datasets.images import UnreadableFrameError
from dcfst_training.notices import warn_once

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClipPair:
    """Two frames of one clip; for a still both are the same image."""

    clip: Clip
    train_frame: int
    test_frame: int

    @property
    def is_still(self) -> bool:
        """Whether both crops come from one image, so that only augmentation tells them apart."""
        return self.train_frame == self.test_frame


class PairSampler:
    """Draws pairs within `max_gap` stored frames (paper: 100) from weighted sets."""

    def __init__(self, sets: Sequence[ClipSet], weights: Sequence[float], max_gap: int) -> None:
        if not sets or len(sets) != len(weights) or min(weights) < 0 or sum(weights) <= 0:
            raise ValueError(
                f"expected one weight >= 0 for each set, not all zero; got {list(weights)} for "
                f"{[item.name for item in sets]}"
            )
        self.sets = list(sets)
        self.shares = np.asarray(weights, dtype=np.float64) / np.sum(weights)
        self.max_gap = max_gap

    def draw(self, rng: np.random.Generator) -> ClipPair:
        """One pair; a clip that is damaged or whose target is never visible is drawn again."""
        for _ in range(100):
            chosen = self.sets[rng.choice(len(self.sets), p=self.shares)]
            try:
                clip = chosen.clip(int(rng.integers(len(chosen))))
            except UnreadableFrameError as error:
                warn_once(log, f"skipped a clip of {chosen.name}: {error}")
                continue
            pair = draw_frames(clip, self.max_gap, rng)
            if pair is not None:
                return pair
        raise ValueError("expected clips with visible targets; 100 draws in a row found none")


def draw_frames(clip: Clip, max_gap: int, rng: np.random.Generator) -> ClipPair | None:
    """Two frames of a clip that show the target and are near each other; None if none does."""
    visible = np.flatnonzero(clip.visible)
    if not len(visible):
        return None
    first = int(rng.choice(visible))
    gap = abs(visible - first) if clip.numbers is None else _gaps(clip.numbers, visible, first)
    near = visible[(gap <= max_gap) & (visible != first)]
    second = int(rng.choice(near)) if len(near) else first
    return ClipPair(clip, first, second)


def _gaps(numbers: NDArray[np.int64], frames: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    """How far frames of a clip are from its frame `first` in the video."""
    gaps: NDArray[np.int64] = abs(numbers[frames] - numbers[first])
    return gaps
