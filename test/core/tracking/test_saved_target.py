"""A target as a file: the same scores after a round trip, merged sums, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_settings import small_config

from dcfst_core import Tracker, TrackState
from dcfst_core.errors import TargetError
from dcfst_core.network.model import DCFSTNet
from dcfst_core.tracking.evidence import Means, Usual
from dcfst_core.tracking.saved_target import merge_targets, read_target, write_target

Scene = Callable[..., np.ndarray]
CONFIG = small_config(update_interval=1, learning_threshold=0.5)
BOX = (60, 80, 40, 48)


@pytest.fixture(scope="module")
def tracker(model: DCFSTNet, scene: Scene) -> Tracker:
    """One that has followed a target for some frames."""
    made = Tracker(model, CONFIG)
    made.init(scene(60, 80), BOX, "cup")
    for step in range(1, 4):
        made.update(scene(60 + 3 * step, 80))
    return made


@pytest.fixture(scope="module")
def path(tracker: Tracker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("targets") / "cup.target"
    tracker.save_target("cup", path)
    return path


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(str(path), "pt") as file:
        return file.metadata()


def test_a_file_holds_what_the_tracker_learned(tracker: Tracker, path: Path) -> None:
    assert path.stat().st_size < 5e6
    assert os.listdir(path.parent) == ["cup.target"]  # nothing half-written beside it
    saved, held = read_target(path), tracker.saved_target("cup")
    assert (saved.target_id, saved.frames, saved.usual) == ("cup", held.frames, held.usual)
    assert saved.size_wh == held.size_wh and saved.fingerprint == held.fingerprint
    for one, other in ((saved.first, held.first), (saved.lasting, held.lasting)):
        assert torch.equal(one.gram, other.gram) and torch.equal(one.moment, other.moment)
    assert all(map(torch.equal, saved.guide, held.guide))
    assert saved.book is not None and held.book is not None
    assert saved.book.taken == held.book.taken
    assert saved.palette is not None and held.palette is not None
    assert torch.equal(saved.palette, held.palette)
    assert saved.usual.sure is not None and saved.usual.lately is not None


@pytest.mark.parametrize(
    "usual",
    [
        Usual(),
        Usual(lately=Means(0.6, 0.7)),
        Usual(Means(0.5, 0.8, 0.75), Means(0.25, 0.125, 0.5), doubted=True),
    ],
)
def test_what_is_usual_comes_back_whether_it_is_known_or_not(
    tracker: Tracker, tmp_path: Path, usual: Usual
) -> None:
    write_target(replace(tracker.saved_target("cup"), usual=usual), tmp_path / "cup.target")
    assert read_target(tmp_path / "cup.target").usual == usual


def test_what_an_earlier_version_did_not_know_of_the_usual_is_typical(
    tracker: Tracker, tmp_path: Path
) -> None:
    path = tmp_path / "cup.target"
    usual = Usual(Means(0.7, 0.8, 0.9, 0.6, 0.7), None)
    write_target(replace(tracker.saved_target("cup"), usual=usual), path)
    with safe_open(str(path), "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    old = json.loads(metadata["usual"])
    del old["sure"]["likeness_first"], old["sure"]["predicted_iou"]
    save_file(tensors, str(path), {**metadata, "usual": json.dumps(old)})
    assert read_target(path).usual == Usual(Means(0.7, 0.8, 0.9), None)


def test_a_loaded_target_is_weighed_by_what_was_usual_for_it(
    model: DCFSTNet, tracker: Tracker
) -> None:
    saved = tracker.saved_target("cup")
    other = Tracker(model, CONFIG)
    track = other.load_target(saved)
    assert (track.state, track.score, track.presence) == (TrackState.LOST, 0.0, 0.0)
    # What is learned first in another place has to be much as it was.
    assert other._targets["cup"].belief.usual == replace(saved.usual, doubted=True)


def test_a_loaded_target_starts_as_lost_and_is_found(
    model: DCFSTNet, scene: Scene, path: Path
) -> None:
    tracker = Tracker(model, CONFIG)
    track = tracker.load_target(path)
    assert (track.target_id, track.state) == ("cup", TrackState.LOST)
    for _ in range(20):
        track = tracker.update(scene(220, 150))
    assert track.state is TrackState.TRACKING
    x, y, w, h = track.box_xywh
    assert np.abs((x + w / 2 - 240, y + h / 2 - 174)).max() < 6


def test_a_saved_target_stays_as_it_was_while_the_tracker_goes_on(
    model: DCFSTNet, scene: Scene
) -> None:
    tracker = Tracker(model, CONFIG)
    tracker.init(scene(60, 80), BOX)
    saved = tracker.saved_target()
    before = saved.lasting.gram.clone()
    for step in range(1, 4):
        tracker.update(scene(60 + 3 * step, 80))
    assert torch.equal(saved.lasting.gram, before)


def test_a_target_loaded_twice_is_two_targets(
    model: DCFSTNet, scene: Scene, tracker: Tracker
) -> None:
    saved = tracker.saved_target("cup")
    other = Tracker(model, CONFIG)
    other.load_target(saved, "a")
    other.load_target(saved, "b")
    memories = [other._targets[name].model.memory for name in "ab"]
    x, y = torch.ones(1, 4, 1024), torch.ones(1, 4)
    before = memories[1].solve(CONFIG)
    memories[0].add(x, y, 3, CONFIG)
    assert torch.equal(memories[1].solve(CONFIG), before)


def test_merging_adds_what_two_runs_learned(tracker: Tracker) -> None:
    a = tracker.saved_target("cup")
    b = replace(
        a,
        target_id="other",
        frames=3 * a.frames + 2,
        lasting=a.lasting._replace(moment=2 * a.lasting.moment),
        first=a.first._replace(moment=3 * a.first.moment),
    )
    merged = merge_targets(a, b)
    share = (b.frames + 1) / (a.frames + b.frames + 2)
    assert share == pytest.approx(0.75)
    assert torch.allclose(merged.lasting.moment, (0.25 + 0.75 * 2) * a.lasting.moment)
    assert torch.allclose(merged.lasting.gram, a.lasting.gram)
    assert torch.allclose(merged.first.moment, 2 * a.first.moment)
    assert (merged.target_id, merged.frames) == ("cup", a.frames + b.frames + 1)


def test_targets_of_other_settings_are_refused(
    model: DCFSTNet, tracker: Tracker, path: Path
) -> None:
    other = Tracker(model, replace(CONFIG, grid_size=19))
    with pytest.raises(TargetError, match="saved with these weights and settings"):
        other.load_target(path)
    assert other.target_ids == ()
    saved = read_target(path)
    with pytest.raises(TargetError, match="same weights and settings"):
        merge_targets(saved, replace(saved, fingerprint="another"))
    with pytest.raises(TargetError, match=r"among \['cup'\]; got also \['cap'\]"):
        tracker.save_target("cap", path)


def test_a_mean_of_data_matrices_cannot_be_saved(
    model: DCFSTNet, scene: Scene, tmp_path: Path
) -> None:
    config = replace(CONFIG, memory="average", update_grid_stride=1, recent_share=0.0)
    tracker = Tracker(model, config)
    tracker.init(scene(60, 80), BOX)
    with pytest.raises(TargetError, match="memory = gram"):
        tracker.save_target("target", tmp_path / "cup.target")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"not a target", b"\xff" * 4096])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cup.target").write_bytes(content)
    with pytest.raises(TargetError, match="damaged or of another version"):
        read_target(tmp_path / "cup.target")
    with pytest.raises(TargetError, match="there is none"):
        read_target(tmp_path / "nothing.target")


@pytest.mark.parametrize("cut", [1, 1000, 10**6])
def test_a_file_that_is_cut_short_is_refused(path: Path, tmp_path: Path, cut: int) -> None:
    (tmp_path / "cut.target").write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(TargetError, match="damaged or of another version"):
        read_target(tmp_path / "cut.target")


def test_other_tensors_and_numbers_that_are_none_are_refused(path: Path, tmp_path: Path) -> None:
    tensors = load_file(str(path))
    save_file(tensors, str(tmp_path / "without.target"))
    with pytest.raises(TargetError, match="format None"):
        read_target(tmp_path / "without.target")
    tensors["first.moment"][3] = torch.nan
    save_file(tensors, str(tmp_path / "nan.target"), metadata_of(path))
    with pytest.raises(TargetError, match=r"first\.moment holds NaN or Inf"):
        read_target(tmp_path / "nan.target")


@pytest.mark.parametrize(
    "usual",
    [
        '{"peak": 0.8, "likeness": 0.9}',  # of an earlier version
        '{"sure": {"peak": 0.8}}',
        '{"sure": {"peak": "high", "likeness": 0.9}}',
        '{"sure": {"peak": NaN, "likeness": 0.9}}',
        '{"always": null}',
        "[]",
        "null",
        "{",
    ],
)
def test_usual_values_of_another_form_are_refused(path: Path, tmp_path: Path, usual: str) -> None:
    changed = {**metadata_of(path), "usual": usual}
    save_file(load_file(str(path)), str(tmp_path / "cup.target"), changed)
    with pytest.raises(TargetError, match="damaged or of another version"):
        read_target(tmp_path / "cup.target")


def test_frame_sizes_of_targets_long_released_do_not_count(
    model: DCFSTNet, scene: Scene, path: Path
) -> None:
    tracker = Tracker(model, CONFIG)
    tracker.init(scene(60, 80), BOX)
    tracker.reset()
    tracker.load_target(path)
    tracker.update(np.zeros((200, 300, 3), np.uint8))  # its box is in no frame's pixels yet
