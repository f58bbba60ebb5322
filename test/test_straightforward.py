"""The shortcuts change the time, not the result."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcfst_core import Tracker, TrackerConfig
from dcfst_core.evaluation.straightforward import StraightforwardTracker
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.network.model import Architecture, DCFSTNet


# Rounding is magnified by |X|^2 / lambda, squared in the normal equations of "gram": lambdas are
# such that float32 stays exact whatever the order in which a processor sums.
@pytest.mark.parametrize(("memory", "regularization"), [("average", 1.0), ("gram", 100.0)])
def test_the_tracker_agrees_with_the_path_without_shortcuts(
    memory: str, regularization: float
) -> None:
    torch.manual_seed(0)
    model = DCFSTNet(Architecture(dimensions=256))
    config = TrackerConfig(
        patch_size=96,
        grid_size=9,
        grid_spacing=4.0,
        precision="float32",
        box_refinement=False,
        memory=memory,
        update_interval=1,  # as the path without shortcuts does
        update_grid_stride=1,
        learning_rate=0.01,
        window_strength=0.0,
        recent_share=0.0,
        judgement=False,  # an untrained network's scores are low
        growth=False,  # which points of a flow are kept hangs on the last digit
        regularization=regularization,
    )
    trackers = [kind(model, config) for kind in (Tracker, StraightforwardTracker)]
    clip = SyntheticClip(frames=5, size=(160, 120), target=(24, 30), period=60)
    moved = 0.0
    for index, frame in enumerate(clip):
        if index == 0:
            box = clip.boxes_xywh()[0]
            fast, plain = (tracker.init(frame, box) for tracker in trackers)
        else:
            before = fast.box_xywh
            fast, plain = (tracker.update(frame) for tracker in trackers)
            moved += np.hypot(*np.subtract(fast.box_xywh, before)[:2])
        assert fast.score == pytest.approx(plain.score, abs=1e-4)
        assert fast.box_xywh == pytest.approx(plain.box_xywh, abs=0.02)
        assert fast.state == plain.state
    assert moved > 3  # agreeing on standing still would prove nothing
