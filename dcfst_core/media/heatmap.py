"""The regressor's score map over the frame: where it sees the target, and what else it sees."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dcfst_core.boxes import BoxXYWH
from dcfst_core.media.video import Frame

_MOST_OPAQUE = 0.75


class ScoreMapLike(Protocol):
    """What is drawn: a `dcfst_core.track.ScoreMap`."""

    @property
    def scores(self) -> NDArray[np.float32]: ...
    @property
    def area_xywh(self) -> BoxXYWH: ...


def draw_score_map(frame: Frame, score_map: ScoreMapLike) -> Frame:
    """A copy of the frame (H, W, 3) RGB with the scores in colour where the map lies.

    Scores of 0 and less leave the frame as it is, 1 is red; a thin line bounds the map.
    """
    height, width = frame.shape[:2]
    x, y, w, h = score_map.area_xywh
    n = len(score_map.scores)
    # Sample (i, j) is the middle of its cell; pixel centres lie half a pixel in.
    matrix = np.array(
        [[w / n, 0, x + w / n / 2 - 0.5], [0, h / n, y + h / n / 2 - 0.5]], dtype=np.float64
    )
    scores = cv2.warpAffine(
        np.clip(score_map.scores, 0, 1).astype(np.float32),
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    colours = cv2.applyColorMap((255 * scores).astype(np.uint8), cv2.COLORMAP_JET)[..., ::-1]
    share = (_MOST_OPAQUE * np.sqrt(scores))[..., None]
    drawn = (frame * (1 - share) + colours * share).round().astype(np.uint8)
    corners = [round(v) for v in (x, y, x + w, y + h)]
    return np.asarray(
        cv2.rectangle(np.ascontiguousarray(drawn), corners[:2], corners[2:], (200, 200, 200), 1),
        dtype=np.uint8,
    )
