"""A simple but real tracker, to evaluate without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.synthetic import SyntheticClip


class TemplateTracker:
    """Normalised cross-correlation with the first patch; knows when it sees nothing like it."""

    def init(self, frame: np.ndarray, box: tuple[float, ...]) -> SimpleNamespace:
        x, y, w, h = (round(v) for v in box)
        self.template, self.box = frame[y : y + h, x : x + w], box
        return SimpleNamespace(box_xywh=box, score=1.0, state="tracking")

    def update(self, frame: np.ndarray) -> SimpleNamespace:
        response = cv2.matchTemplate(frame, self.template, cv2.TM_CCOEFF_NORMED)
        _, score, _, (x, y) = cv2.minMaxLoc(response)
        if score < 0.7:
            return SimpleNamespace(box_xywh=self.box, score=max(score, 0.0), state="lost")
        self.box = (x, y, *self.template.shape[1::-1])
        return SimpleNamespace(box_xywh=self.box, score=score, state="tracking")


@pytest.fixture
def template_tracker() -> type[TemplateTracker]:
    return TemplateTracker


@pytest.fixture
def make_sequence() -> Callable[..., AnnotatedSequence]:
    """A function that writes a synthetic clip of one round and returns it as a sequence."""

    def make(folder: Path, name: str, frames: int = 70, seed: int = 0) -> AnnotatedSequence:
        clip = SyntheticClip(frames, (160, 120), (24, 30), seed=seed, period=70)
        folder.mkdir(parents=True)
        paths = []
        for i, frame in enumerate(clip):
            paths.append(folder / f"{i:04d}.png")
            cv2.imwrite(str(paths[-1]), frame[..., ::-1])
        return AnnotatedSequence(name, tuple(paths), clip.boxes_xywh(), group="synthetic")

    return make
