"""The score map is drawn where it lies, and nothing else changes."""

from __future__ import annotations

import numpy as np

from dcfst_core.media.heatmap import draw_score_map
from dcfst_core.track import ScoreMap


def test_the_hottest_place_is_that_of_the_highest_score() -> None:
    frame = np.full((120, 160, 3), 90, np.uint8)
    scores = np.full((11, 11), -0.2, np.float32)
    scores[3, 8] = 1.0  # row 3, column 8 of cells 8 px wide, from (40, 20) on
    drawn = draw_score_map(frame, ScoreMap(scores, (40.0, 20.0, 88.0, 88.0))).astype(int)
    red, _, blue = drawn[20 + 28, 40 + 68]
    assert red > 100 and blue < 40
    changed = np.argwhere(np.abs(drawn - 90).sum(axis=2)[22:106, 42:126] > 0) + np.array([22, 42])
    # The peak fades within a cell to each side; elsewhere the scores are negative.
    assert np.abs(changed - (48 - 0.5, 108 - 0.5)).max() <= 8
    assert not np.abs(drawn - 90)[:18].any() and not np.abs(drawn - 90)[:, :38].any()
    assert (frame == 90).all()


def test_a_map_that_reaches_over_the_border_is_cut() -> None:
    frame = np.zeros((60, 80, 3), np.uint8)
    drawn = draw_score_map(
        frame, ScoreMap(np.ones((5, 5), np.float32), (-30.0, -30.0, 60.0, 60.0))
    )
    assert drawn.shape == frame.shape and drawn.any() and not drawn[40:, 40:].any()
