"""Saved targets: looked for in the rest of their clip, and in clips that do not show them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dcfst_core.evaluation import reunion
from dcfst_core.evaluation.reunion import Reunion, parts, reunion_table, run_reunions
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.trackers import TrackerSpec

MakeSequence = Callable[..., AnnotatedSequence]
# The packaged network in a small region.
SMALL = {"patch_size": 128, "grid_size": 15, "grid_spacing": 6.0}


def test_a_clip_is_cut_in_two_with_a_gap() -> None:
    assert parts(150, 100) == (25, 125)
    assert parts(71, 40) == (15, 55)
    assert parts(119, 100) is None


def test_targets_are_found_again_and_whoever_looks_like_them_is_told(
    tmp_path: Path, make_sequence: MakeSequence
) -> None:
    """Two clips of one scene under two names: each shows what the other's target looks like."""
    clips = [make_sequence(tmp_path / name, name, 44, 0) for name in ("A", "B")]
    found = run_reunions(TrackerSpec("t", config=SMALL, device="cpu"), clips, 20, progress=False)
    assert [(r.clip, r.mistaken_in, r.strangers) for r in found] == [
        ("A", ("B",), 1),
        ("B", ("A",), 1),
    ]
    for each in found:
        assert 1 <= each.found_after <= 10 and not each.taken_for_other


def test_a_find_elsewhere_is_told_in_words_that_json_knows(
    tmp_path: Path, make_sequence: MakeSequence
) -> None:
    clip = make_sequence(tmp_path / "A", "A", 44, 0)
    truth = clip.truth_xywh.copy()
    truth[22:] += 1000.0  # after the gap it is said to be where nothing is
    (found,) = run_reunions(
        TrackerSpec("t", config=SMALL, device="cpu"),
        [replace(clip, truth_xywh=truth)],
        20,
        progress=False,
    )
    assert found.taken_for_other is True and math.isnan(found.found_after)
    assert json.loads(json.dumps(asdict(found)))["taken_for_other"] is True


def test_pieces_of_one_video_are_no_strangers(tmp_path: Path, make_sequence: MakeSequence) -> None:
    clips = [make_sequence(tmp_path / name, name, 22, 0) for name in ("car_0", "car_1")]
    found = run_reunions(TrackerSpec("t", config=SMALL, device="cpu"), clips, 1, progress=False)
    assert [r.strangers for r in found] == [0, 0]
    assert "of 0 searches" in reunion_table(found)


def test_clips_too_short_and_trackers_without_targets_are_refused(
    tmp_path: Path, make_sequence: MakeSequence
) -> None:
    clip = make_sequence(tmp_path / "A", "A", 30, 0)
    with pytest.raises(ValueError, match="expected a clip of 40 frames or more, for a gap of 20"):
        run_reunions(TrackerSpec("t", config=SMALL), [clip], 20, progress=False)
    with pytest.raises(ValueError, match="expected a tracker that saves targets; got mil"):
        run_reunions(TrackerSpec("mil", opencv="mil"), [clip], 5, progress=False)


def test_the_table_counts_what_was_found_and_mistaken() -> None:
    rows = [
        Reunion("A", 3.0, False, (), 4),
        Reunion("B", math.nan, True, ("C", "D"), 4),
    ]
    text = reunion_table(rows)
    assert "| B  " in text and " yes |" in text and "C, D" in text
    assert "found again: 50 % of 2" in text
    assert f"25.0 % of 8 searches of {reunion.SEARCHED_FRAMES} frames" in text
