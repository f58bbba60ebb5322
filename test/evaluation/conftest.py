"""A simple but real tracker, to evaluate without a network."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest


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
