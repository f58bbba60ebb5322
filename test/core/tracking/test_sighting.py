"""Who leaps out of the search region is found in the same frame, if he may be that fast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcfst_core import Tracker, TrackerConfig, TrackState, load_model
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.frames import Frame

CONFIG = TrackerConfig.fast()
BOX = (60.0, 90.0, 40.0, 40.0)


def frame_at(x: float) -> Frame:
    """Noise of many scales with a target of its own noise at `x`."""
    clip = SyntheticClip(frames=2, size=(480, 240), target=(40, 40))
    frame = next(iter(clip)).copy()
    left, top, width, height = (round(v) for v in clip.boxes_xywh()[0])
    target = frame[top : top + height, left : left + width].copy()
    frame[top : top + height, left : left + width] = frame[:height, :width]
    frame[90:130, round(x) : round(x) + 40] = target
    return np.ascontiguousarray(frame)


@pytest.fixture(scope="module")
def tracker() -> Tracker:
    return Tracker(load_model(), CONFIG)


@pytest.mark.parametrize(
    ("config", "step", "seen"),
    [
        (CONFIG, 1.0, True),
        (CONFIG, 0.05, False),
        (replace(CONFIG, look_around=False), 1.0, False),
    ],
    ids=["fast", "slow", "switched off"],
)
def test_a_leap(tracker: Tracker, config: TrackerConfig, step: float, seen: bool) -> None:
    tracker.reset()
    tracker.config = config
    tracker.init(frame_at(BOX[0]), BOX)
    for _ in range(3):
        assert tracker.update(frame_at(BOX[0])).state is TrackState.TRACKING
    target = tracker._targets["target"]
    target.motion = replace(target.motion, step=step)
    leapt = BOX[0] + 2.6 * BOX[2]  # a region of this preset reaches 1.5 sizes
    track = tracker.update(frame_at(leapt))
    assert (track.state is TrackState.TRACKING) is seen
    if seen:
        assert track.box_xywh == pytest.approx((leapt, *BOX[1:]), abs=6)
