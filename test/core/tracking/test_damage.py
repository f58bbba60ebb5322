"""One target's damage is its own: the others go on, and what happened is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_settings import small_config

from dcfst_core import Tracker, TrackerConfig, TrackState
from dcfst_core.network.model import DCFSTNet
from dcfst_core.tracking.memory import AverageMemory, GramMemory

Scene = Callable[..., np.ndarray]
CONFIG = small_config(update_interval=1, learning_threshold=0.5, lost_after=1)
AVERAGE = replace(CONFIG, memory="average", update_grid_stride=1, recent_share=0.0)
LOST_AT_ONCE = replace(CONFIG, lost_threshold=1.0, tracking_threshold=1.0, learning_threshold=1.0)
BOXES = {"healthy": (60, 80, 40, 48), "damaged": (61, 81, 40, 48)}


def poison(tracker: Tracker, name: str = "damaged") -> None:
    """Put a NaN into what a target's frames after the first have left."""
    memory = tracker._targets[name].model.memory
    if isinstance(memory, GramMemory):
        memory.lasting.gram[0, 3, 3] = float("nan")
    else:
        assert isinstance(memory, AverageMemory)
        memory._running[0][0, 3, 3] = float("nan")


@pytest.mark.fault("NaN in a target's memory")
@pytest.mark.parametrize("config", [CONFIG, AVERAGE], ids=["gram", "average"])
def test_a_damaged_memory_leaves_the_other_targets_as_they_are(
    model: DCFSTNet, scene: Scene, config: TrackerConfig
) -> None:
    tracker, untouched = Tracker(model, config), Tracker(model, config)
    for each in (tracker, untouched):
        for name, box in BOXES.items():
            each.init(scene(60, 80), box, name)
    for step in range(1, 5):
        if step == 2:
            assert tracker.pop_notes() == {}
            poison(tracker)
        frame = scene(60 + 3 * step, 80 + step)
        tracks, expected = tracker.update_all(frame), untouched.update_all(frame)
        assert expected["healthy"].state is TrackState.TRACKING
        assert tracks["healthy"].state is TrackState.TRACKING
        assert tracks["healthy"].box_xywh == pytest.approx(expected["healthy"].box_xywh, abs=0.05)
        for name in ("score", "presence"):
            found, wanted = (getattr(each["healthy"], name) for each in (tracks, expected))
            assert found == pytest.approx(wanted, abs=1e-3)
        if step == 2:
            assert tracks["damaged"].state is TrackState.LOST
            assert tracks["damaged"].score == tracks["damaged"].presence == 0.0
            ((name, notes),) = tracker.pop_notes().items()
            assert name == "damaged" and len(notes) == 1
            assert "given up for the first frame's" in notes[0]
            assert tracker.pop_notes() == {}
    # It was in view all along, and the first frame is known: it is found again.
    for step in range(5, 12):
        tracks = tracker.update_all(scene(60 + 3 * step, 80 + step))
    assert tracks["damaged"].state is TrackState.TRACKING
    assert tracker.pop_notes() == {}


def test_a_target_that_is_damaged_and_lost_at_once_stops_no_other(
    model: DCFSTNet, scene: Scene
) -> None:
    """The memory is also solved when a target is lost, without the newest frames' part."""
    tracker = Tracker(model, CONFIG)
    for name, box in BOXES.items():
        tracker.init(scene(60, 80), box, name)
    tracker.update_all(scene(62, 80))
    poison(tracker)
    tracker.config = LOST_AT_ONCE
    tracks = tracker.update_all(scene(64, 80))
    assert {track.state for track in tracks.values()} == {TrackState.LOST}
    assert np.isfinite([track.box_xywh for track in tracks.values()]).all()
    assert list(tracker.pop_notes()) == ["damaged"]


def test_a_damaged_regressor_finds_nothing(model: DCFSTNet, scene: Scene) -> None:
    tracker = Tracker(model, CONFIG)
    for name, box in BOXES.items():
        tracker.init(scene(60, 80), box, name)
    tracker._targets["damaged"].model.kernel.block3[0, 0, 0, 0] = float("nan")
    tracks = tracker.update_all(scene(62, 80))
    assert tracks["healthy"].state is TrackState.TRACKING
    assert tracks["damaged"].evidence is None
    assert tracks["damaged"].presence < tracks["healthy"].presence
    assert tracks["damaged"].score < 0.1
    assert np.isfinite(tracks["damaged"].box_xywh).all()


def test_without_judgement_a_damaged_target_is_followed_again(
    model: DCFSTNet, scene: Scene
) -> None:
    tracker = Tracker(model, replace(CONFIG, judgement=False))
    tracker.init(scene(60, 80), BOXES["damaged"], "damaged")
    poison(tracker)
    tracker.update(scene(62, 80))
    assert list(tracker.pop_notes()) == ["damaged"]
    tracks = [tracker.update(scene(62 + 2 * step, 80)) for step in range(1, 4)]
    assert tracks[-1].state is TrackState.TRACKING
    assert tracks[-1].last_seen_box_xywh == tracks[-1].box_xywh


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinite_sums_are_damage_too(model: DCFSTNet, scene: Scene, value: float) -> None:
    tracker = Tracker(model, CONFIG)
    tracker.init(scene(60, 80), BOXES["damaged"], "damaged")
    memory = tracker._targets["damaged"].model.memory
    assert isinstance(memory, GramMemory)
    memory.lasting.moment[0, 5] = value
    first = tracker.update(scene(62, 80))
    second = tracker.update(scene(64, 80))
    assert torch.isfinite(torch.tensor([*first.box_xywh, *second.box_xywh])).all()
    assert list(tracker.pop_notes()) == ["damaged"]
