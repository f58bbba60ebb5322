"""When a model learns, what from, and with what weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from small_settings import small_config

from dcfst_core import Tracker, TrackState
from dcfst_core.network.model import DCFSTNet
from dcfst_core.track import Evidence
from dcfst_core.tracking.lessons import Lesson, due_lessons, has_rival

Scene = Callable[..., np.ndarray]
# Small regions and no refinement, so that an update takes milliseconds.
CONFIG = small_config(learning_threshold=0.5, reuse_features_within=0.0)
BOX = (60, 80, 40, 48)


def lesson(name: str, waited: int, rival: bool = False) -> Any:
    model = SimpleNamespace(frames_since_update=waited, learning=False)
    return Lesson(SimpleNamespace(target_id=name, model=model), None, rival)  # type: ignore[arg-type]


def due(lessons: list[Any], targets: int) -> list[str]:
    return [each.target.target_id for each in due_lessons(lessons, targets, CONFIG)]


def test_a_lesson_is_due_after_the_interval() -> None:
    assert CONFIG.update_interval == 5
    assert due([lesson("a", 4)], 1) == []
    assert due([lesson("a", 5)], 1) == ["a"]


def test_of_many_targets_those_that_waited_longest_learn_first() -> None:
    lessons = [lesson(str(k), waited) for k, waited in enumerate((5, 9, 3, 7, 6))]
    assert due(lessons, 5) == ["1"]
    assert due(lessons, 6) == ["1", "3"]
    assert due(lessons, 20) == ["1", "3", "4", "0"]


def test_a_rival_does_not_wait() -> None:
    lessons = [lesson("a", 1, rival=True), lesson("b", 5), lesson("c", 8), lesson("d", 1)]
    assert due(lessons, 4) == ["a", "c"]


@pytest.mark.parametrize(
    ("limit", "peak", "second", "rival"),
    [(0.5, 0.8, 0.41, True), (0.5, 0.8, 0.39, False), (1.0, 0.8, 0.9, False)],
)
def test_a_rival_is_a_second_peak_above_a_share_of_the_first(
    evidence: Callable[..., Evidence], limit: float, peak: float, second: float, rival: bool
) -> None:
    config = replace(CONFIG, hard_negative_threshold=limit)
    assert has_rival(evidence(peak=peak, second_peak=second), config) is rival
    assert not has_rival(None, config)


def updates_of(tracker: Tracker) -> list[tuple[str, torch.Tensor, int, torch.Tensor | None]]:
    """A list to which every update of a held target's memory is added from here on."""
    seen: list[Any] = []

    def recorded(name: str, memory: Any) -> None:
        add = memory.add

        def also(x: torch.Tensor, y: torch.Tensor, frames: int, *others: Any) -> None:
            seen.append((name, x, frames, others[-1]))
            add(x, y, frames, *others)

        memory.add = also

    for name, target in tracker._targets.items():
        recorded(name, target.model.memory)
    return seen


def test_many_targets_learn_in_turn_so_that_no_frame_is_late(
    model: DCFSTNet, scene: Scene
) -> None:
    tracker = Tracker(model, CONFIG)
    names = [str(i) for i in range(7)]
    for name in names:
        tracker.init(scene(60, 80), BOX, name)
    updates = updates_of(tracker)
    learned = []
    for step in range(1, 14):
        tracks = tracker.update_all(scene(60 + 2 * step, 80))
        assert {track.state for track in tracks.values()} == {TrackState.TRACKING}
        learned.append([name for name, *_ in updates])
        updates.clear()
    # Every fifth frame, seven targets: two in a frame, one frame after they were looked at.
    assert [len(names) for names in learned] == [0, 0, 0, 0, 0, 2, 2, 2, 1, 0, 2, 2, 2]
    assert set(chain(*learned[:9])) == set(names)


def test_an_update_counts_for_the_frames_since_the_last(model: DCFSTNet, scene: Scene) -> None:
    tracker = Tracker(model, replace(CONFIG, update_interval=3))
    tracker.init(scene(60, 80), BOX)
    updates = updates_of(tracker)
    for step in range(1, 9):
        tracker.update(scene(60 + 2 * step, 80))
    assert [frames for _, _, frames, _ in updates] == [3, 3]


@pytest.mark.parametrize(("stride", "samples"), [(1, 441), (2, 121)])
def test_an_update_takes_every_nth_sample(
    model: DCFSTNet, scene: Scene, stride: int, samples: int
) -> None:
    config = replace(CONFIG, update_interval=1, update_grid_stride=stride)
    tracker = Tracker(model, config)
    tracker.init(scene(60, 80), BOX)
    updates = updates_of(tracker)
    tracker.update(scene(62, 80))
    ((_, x, _, weight),) = updates
    assert x.shape == (1, samples, 1024) and weight is None


@pytest.mark.parametrize(("reuse", "passes"), [(0.0, 2), (0.5, 1)])
def test_an_update_takes_the_features_at_hand_if_the_target_is_near(
    model: DCFSTNet, scene: Scene, reuse: float, passes: int
) -> None:
    config = replace(CONFIG, update_interval=1, reuse_features_within=reuse)
    tracker = Tracker(model, config)
    tracker.init(scene(60, 80), BOX)
    tracker.timer.enabled = True
    patches: list[int] = []
    handle = tracker._net._trunk.register_forward_pre_hook(
        lambda _, inputs: patches.append(len(inputs[0]))
    )
    near = tracker.update(scene(64, 82))
    handle.remove()
    assert len(patches) == passes and "solve" in tracker.timer.last_ms
    for step in range(1, 6):
        near = tracker.update(scene(64 + 4 * step, 82 + 2 * step))
    x, y, w, h = near.box_xywh
    assert math.hypot(x + w / 2 - 104, y + h / 2 - 116) < 3


def parts_done(tracker: Tracker, frames: list[np.ndarray]) -> list[str]:
    """Which parts of a lesson each frame did: c = crop, s = samples, r = regressor."""
    target = tracker._targets["target"]
    updates = updates_of(tracker)
    patches: list[int] = []
    handle = tracker._net._trunk.register_forward_pre_hook(
        lambda _, inputs: patches.append(len(inputs[0]))
    )
    done = []
    for frame in frames:
        before = target.model.kernel
        tracker.update(frame)
        parts = (("c", len(patches) > 1), ("s", updates), ("r", target.model.kernel is not before))
        done.append("".join(letter for letter, has in parts if has))
        updates.clear()
        patches.clear()
    handle.remove()
    return done


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["", "", "", "", "c", "s", "r", "", ""]),
        ({"reuse_features_within": 0.5}, ["", "", "", "", "s", "r", "", "", ""]),
        ({"spread_updates": False}, ["", "", "", "", "csr", "", "", "", ""]),
        ({"update_interval": 3}, ["", "", "c", "s", "r", "c", "s", "r", "c"]),
        ({"update_interval": 2}, ["", "csr", "", "csr", "", "csr", "", "csr", ""]),
        # A second peak, whatever its height, is a rival: learned from at once and as a whole.
        ({"hard_negative_threshold": 0.0}, ["csr"] * 9),
    ],
)
def test_an_update_is_spread_over_frames(
    model: DCFSTNet, scene: Scene, changes: dict[str, Any], expected: list[str]
) -> None:
    tracker = Tracker(model, replace(CONFIG, **changes))
    tracker.init(scene(60, 80), BOX)
    assert parts_done(tracker, [scene(60 + step, 80) for step in range(1, 10)]) == expected


def test_a_spread_update_learns_the_same_two_frames_later(model: DCFSTNet, scene: Scene) -> None:
    kernels = []
    for spread, frames in ((True, 7), (False, 5)):
        tracker = Tracker(model, replace(CONFIG, spread_updates=spread))
        tracker.init(scene(60, 80), BOX)
        for step in range(1, frames + 1):
            tracker.update(scene(60 + 2 * step, 80))
        kernels.append(tracker._targets["target"].model.kernel)
    for spread_part, part in zip(*kernels, strict=True):
        assert torch.equal(spread_part, part)


def test_a_target_that_is_lost_forgets_the_lesson_it_had_begun(
    model: DCFSTNet, scene: Scene
) -> None:
    tracker = Tracker(model, CONFIG)
    tracker.init(scene(60, 80), BOX)
    for step in range(1, 6):
        tracker.update(scene(60 + step, 80))
    target = tracker._targets["target"]
    assert target.model.view is not None and target.model.learning
    surest = {f"{name}_threshold": 1.0 for name in ("lost", "tracking", "learning")}
    tracker.config = replace(CONFIG, lost_after=1, **surest)
    assert tracker.update(scene(66, 80)).state is TrackState.LOST
    assert not target.model.learning


def test_samples_around_a_rival_weigh_more(model: DCFSTNet, scene: Scene) -> None:
    """The same target twice in the frame: the second one is what must not be taken for it."""
    twin = np.maximum(scene(60, 80), 0)
    twin[80:128, 180:220] = scene(60, 80)[80:128, 60:100]
    config = replace(
        CONFIG,
        hard_negative_threshold=0.4,
        hard_negative_weight=5.0,
        search_area_scale=7.0,
        patch_size=288,
        grid_size=31,
        tracking_threshold=0.2,
        lost_threshold=0.0,
    )
    tracker = Tracker(model, config)
    tracker.init(scene(60, 80), BOX)
    updates = updates_of(tracker)
    track = tracker.update(twin)
    assert track.evidence is not None and track.evidence.second_peak > 0.4
    ((_, _, frames, weight),) = updates
    assert frames == 1 and weight is not None
    side = tracker._learner._update_grid.size
    heavy = (weight.view(side, side) == 5.0).nonzero().float()
    assert set(weight.unique().tolist()) == {1.0, 5.0}
    # The twin lies 120 px to the right; the region shows 7 * 43.8 px at 288 px.
    spacing = tracker._learner._update_grid.spacing
    middle = (heavy.mean(dim=0) - (side - 1) / 2) * spacing
    right = 120 * 288 / (7 * math.sqrt(40 * 48))
    assert float(middle[1]) == pytest.approx(right, abs=12)
    assert float(middle[0]) == pytest.approx(0.0, abs=12)
