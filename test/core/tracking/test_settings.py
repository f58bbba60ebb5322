"""Settings that change while targets are held: which may, and that every part hears of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from small_settings import small_config

from dcfst_core import Tracker, TrackerConfig, TrackState
from dcfst_core.network.model import DCFSTNet

Scene = Callable[..., np.ndarray]
CONFIG = small_config(
    box_refinement=True, num_proposals=4, modulation_adaptation_iter=0, predictor_fit=0.0
)
BOX = (60, 80, 40, 48)
FIXED = {spec.name: spec.default for spec in fields(TrackerConfig) if not spec.metadata["live"]}
OTHERS: dict[str, Any] = {
    "patch_size": 224,
    "grid_size": 19,
    "grid_spacing": 6.0,
    "memory": "average",
    "update_grid_stride": 1,
    "judgement": False,
    "looks": 3,
    "colours": False,
    "precision": "bfloat16",
    "int8_file": "net.int8",
}


@pytest.fixture
def tracker(model: DCFSTNet, scene: Scene) -> Tracker:
    made = Tracker(model, CONFIG)
    made.init(scene(60, 80), BOX)
    return made


def test_every_setting_that_must_stay_is_tried_here() -> None:
    assert OTHERS.keys() == FIXED.keys()


@pytest.mark.parametrize("name", OTHERS)
def test_settings_that_a_tracker_was_made_for_stay(tracker: Tracker, name: str) -> None:
    values: dict[str, Any] = {name: OTHERS[name]}
    if name == "memory":  # the mean of data matrices needs these two as well
        values |= {"update_grid_stride": 1, "recent_share": 0.0}
    with pytest.raises(ValueError, match=f"expected {name}.* as before: make a new Tracker"):
        tracker.config = replace(CONFIG, **values)
    assert tracker.config == CONFIG


def test_settings_given_between_frames_count_from_the_next_one_on(
    tracker: Tracker, scene: Scene
) -> None:
    first = tracker.update(scene(64, 82)).evidence
    assert first is not None and np.isfinite(first.predicted_iou)
    tracker.config = replace(CONFIG, box_refinement=False, window_strength=1.0)
    track = tracker.update(scene(68, 84))
    assert track.evidence is not None and np.isnan(track.evidence.predicted_iou)
    assert track.state is TrackState.TRACKING
    assert tracker.config.window_strength == 1.0


def test_thresholds_count_from_the_next_frame_on(tracker: Tracker, scene: Scene) -> None:
    assert tracker.update(scene(64, 82)).state is TrackState.TRACKING
    tracker.config = replace(CONFIG, tracking_threshold=1.0, learning_threshold=1.0)
    assert tracker.update(scene(68, 84)).state is TrackState.UNCERTAIN


def test_the_number_of_regions_counts_from_the_next_frame_on(
    tracker: Tracker, scene: Scene
) -> None:
    never = {"tracking_threshold": 1.0, "learning_threshold": 1.0, "lost_threshold": 1.0}
    lost = replace(CONFIG, **never, lost_after=1)
    tracker.config = lost
    assert tracker.update(scene(64, 82)).state is TrackState.LOST
    patches: list[int] = []
    tracker._net._trunk.register_forward_pre_hook(lambda _, inputs: patches.append(len(inputs[0])))
    for tiles in (0, 2, 4):
        tracker.config = replace(lost, lost_search_tiles=tiles)
        tracker.update(scene(64, 82))
    # Of those with tiles one looks beyond the target's reach.
    assert patches == [1, 1 + 2 + 1, 1 + 4 + 1]


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 0.9},
        {"first_frame_share": 0.55},
        {"recent_share": 0.6},
        {"recent_rate": 0.9},
        {"regularization": 100.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_a_held_target_remembers_follows_the_settings_too(
    model: DCFSTNet, scene: Scene, change: dict[str, float]
) -> None:
    """A live setting must reach the memories that were begun before it was changed."""
    config = replace(CONFIG, update_interval=1, learning_threshold=0.5, box_refinement=False)
    as_before, changed = Tracker(model, config), Tracker(model, config)
    for each in (as_before, changed):
        each.init(scene(60, 80), BOX)
        each.update(scene(64, 82))
    changed.config = replace(config, **change)
    for each in (as_before, changed):
        each.update(scene(68, 84))
    kernels = [each._targets["target"].model.kernel.block3 for each in (as_before, changed)]
    difference = float((kernels[0] - kernels[1]).norm() / kernels[0].norm())
    assert difference > 1e-3, f"{change} changed nothing"
