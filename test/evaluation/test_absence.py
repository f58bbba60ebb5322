"""Absences: what is shown and said to be true of it, and how a run over it is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcfst_core.evaluation import absence
from dcfst_core.evaluation.absence import ABRUPT, KINDS, AbsenceCase, absence_cases
from dcfst_core.evaluation.case_results import (
    CaseResult,
    best_threshold,
    case_result,
    plain_results,
    run_case,
    run_cases,
    with_threshold,
)
from dcfst_core.evaluation.judgement import absence_table, comparison, judgement_figures
from dcfst_core.evaluation.one_pass import run_sequence
from dcfst_core.evaluation.results import SequenceResult
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.trackers import TrackerSpec
from dcfst_core.media.video import read_image
from dcfst_core.tracking.config import TrackerConfig

Make = Callable[..., AnnotatedSequence]


@pytest.fixture
def pair(tmp_path: Path, make_sequence: Make) -> list[AnnotatedSequence]:
    return [make_sequence(tmp_path / n, n, seed=5 * i) for i, n in enumerate("ab")]


def case_of(sequences: list[AnnotatedSequence], kind: str, duration: int = 30) -> AbsenceCase:
    (case,) = absence_cases(sequences[:1], [kind], [duration])
    return case


def crafted(states: list[str], boxes: np.ndarray, case: AbsenceCase) -> CaseResult:
    count = len(states)
    return case_result(case, SequenceResult(boxes, np.ones(count), np.ones(count), tuple(states)))


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "crossing"])
@pytest.mark.parametrize("duration", [30, 100])
def test_the_target_is_really_gone_and_comes_back(
    template_tracker: type[Any], pair: list[AnnotatedSequence], kind: str, duration: int
) -> None:
    case = absence_cases(pair, [kind], [duration])[0]
    start, stop = case.absent
    assert stop - start == duration
    gone = np.flatnonzero(case.visibility == 0)
    assert gone.tolist() == list(range(start, stop))
    assert np.isnan(case.truth_xywh).any(axis=1).nonzero()[0].tolist() == gone.tolist()
    assert np.abs(np.diff(case.order)).max() <= 1  # motion is never faster than the clip's
    result = run_case(template_tracker(), case)
    assert result.lost[start:stop].all()
    assert result.tracking[:start][case.visibility[:start] == 1].all()
    assert result.tracking[stop:][case.visibility[stop:] == 1].all()


def test_only_what_is_named_is_drawn(pair: list[AnnotatedSequence]) -> None:
    for kind in ("removed", "covered", "slid", "passed"):
        case = case_of(pair, kind)
        index = case.absent[0] + 5
        shown = list(case.images())[index]
        original = read_image(case.sequence.frames[case.order[index]])
        box = case.sequence.truth_xywh[case.order[index]]
        low, high = box[:2], box[:2] + box[2:]
        if kind in ("slid", "passed"):
            patch = case.patches_xywh[index]
            low, high = patch[:2], patch[:2] + patch[2:]
        changed = np.argwhere((shown != original).any(axis=2))[:, ::-1]
        margin = 0.1 * box[2:] + 1
        assert (changed.min(axis=0) >= low - margin).all(), kind
        assert (changed.max(axis=0) <= high + margin).all(), kind
        inside = shown[
            int(box[1]) + 1 : int(box[1] + box[3]), int(box[0]) + 1 : int(sum(box[::2]))
        ]
        assert (
            inside
            != original[int(box[1]) + 1 :][: len(inside)][:, int(box[0]) + 1 :][
                :, : inside.shape[1]
            ]
        ).any(axis=2).mean() > 0.9, kind


def test_a_patch_slides_over_the_target_within_about_twenty_frames(
    pair: list[AnnotatedSequence],
) -> None:
    case = case_of(pair, "slid")
    partly = (case.visibility > 0) & (case.visibility < 1)
    start, stop = case.absent
    coming, leaving = partly[:start].sum(), partly[stop:].sum()
    assert 18 <= coming <= 22 and coming == leaving
    assert partly[start - coming : start].all()  # in one go
    steps = np.diff(case.visibility[start - coming : start])
    assert (steps < 0).all() and np.abs(steps).max() < 0.06


def test_a_still_patch_stands_still(pair: list[AnnotatedSequence]) -> None:
    case = case_of(pair, "passed")
    assert (case.patches_xywh == case.patches_xywh[0]).all()
    assert (case.visibility[:30] == 1).all()
    # A target that does not move passes behind nothing, and there is no such case.
    still = replace(pair[0], truth_xywh=np.repeat(pair[0].truth_xywh[:1], 70, axis=0))
    assert absence_cases([still], ["passed"]) == []


def test_a_look_alike_crosses_behind_the_target(pair: list[AnnotatedSequence]) -> None:
    case = case_of(pair, "crossing")
    start, stop = case.absent
    assert (case.visibility == 1).all()
    frames = list(case.images())
    x, y, w, h = (round(v) for v in case.patches_xywh[start + 5])
    left, top = (round(v) for v in case.truth_xywh[start + 5, :2])
    copy = frames[start + 5][y + 2 : y + h - 2, x + 2 : x + w - 2]
    best = min(
        np.abs(
            copy.astype(int)
            - frames[start + 5][top + 2 + i : top + 2 + i + copy.shape[0], left + 2 + j :][
                :, : copy.shape[1]
            ]
        ).mean()
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
    )
    assert best == 0  # pixel for pixel
    for index in range(len(frames)):  # the target itself is never touched
        original = read_image(case.sequence.frames[case.order[index]])
        x, y, w, h = (int(v) for v in case.truth_xywh[index])
        inside = (slice(y + 1, y + h - 1), slice(x + 1, x + w - 1))
        assert np.array_equal(frames[index][inside], original[inside])
    offsets = case.patches_xywh[start:stop, :2] - case.truth_xywh[start:stop, :2]
    along = np.abs(offsets).max(axis=0).argmax()
    assert offsets[0, along] > 2 * case.truth_xywh[0, 2 + along]
    assert offsets[-1, along] < -2 * case.truth_xywh[0, 2 + along]


def test_a_cut_never_shows_the_target(
    template_tracker: type[Any], pair: list[AnnotatedSequence]
) -> None:
    alone = case_of(pair, "cut")  # there is no other scene to cut to
    assert run_case(template_tracker(), alone).lost[slice(*alone.absent)].all()
    # Two targets of one video are two sequences: neither is another scene for the other.
    twin = replace(pair[0], name="a-2")
    first, _, last = absence_cases([pair[0], twin, pair[1]], ["cut"])
    assert first.other is pair[1] and last.other is pair[0]


def test_cases_are_the_same_every_time_and_short_clips_are_left_out(
    pair: list[AnnotatedSequence],
) -> None:
    for kind in KINDS:
        case, again = case_of(pair, kind), case_of(pair, kind)
        assert case.fingerprint() == again.fingerprint()
        frames = zip(case.images(), again.images(), strict=True)
        assert all(np.array_equal(a, b) for a, b in frames)
    different = {case_of(pair, kind).fingerprint() for kind in KINDS}
    assert len(different | {case_of(pair, "slid", 31).fingerprint()}) == len(KINDS) + 1
    short = replace(pair[0], frames=pair[0].frames[:9], truth_xywh=pair[0].truth_xywh[:9])
    assert absence_cases([short]) == []
    with pytest.raises(ValueError, match="got 'vanished'"):
        absence_cases(pair, ["vanished"])
    with pytest.raises(ValueError, match="1 frame and more; got 0"):
        absence_cases(pair, ["cut"], [0])


def test_natural_absences_are_absences_too(pair: list[AnnotatedSequence]) -> None:
    truth = pair[0].truth_xywh.copy()
    truth[28:33] = np.nan
    case = absence_cases([replace(pair[0], truth_xywh=truth)], ["removed"])[0]
    assert case.absent[0] == 38  # not before it has been in view for five frames
    assert (case.visibility[28:33] == 0).all() and case.visibility[37] == 1


def test_an_honest_tracker_and_a_blind_one_are_told_apart(
    template_tracker: type[Any], pair: list[AnnotatedSequence]
) -> None:
    cases = absence_cases(pair, [k for k in KINDS if k != "crossing"])
    plain = {s.name: run_sequence(template_tracker(), s) for s in pair}
    honest = [run_case(template_tracker(), case) for case in cases]
    figures = judgement_figures(honest + plain_results(plain, pair))
    assert figures.cases == figures.held == 10
    assert figures.in_view_not_tracking == 0 and figures.absent_tracking == 0
    assert figures.lost_within == 1 and figures.found_within == {30: 1.0}
    assert figures.relocked == 0
    assert figures.absence_detection_quality == 1 and figures.drift_rate_error == 0
    assert figures.rank_correlation_with_absent > 0.5
    row = absence_table(figures.verdicts).splitlines()[-1].replace(" ", "")
    assert row.startswith("|all|10|10|1.000|1.000|")

    copied = judgement_figures([run_case(template_tracker(), case_of(pair, "crossing"))])
    assert copied.misled in (0, 1) and np.isnan(copied.relocked) and not copied.found_within

    still = np.repeat(cases[0].truth_xywh[:1], len(cases[0].truth_xywh), axis=0)
    blind = judgement_figures([crafted(["tracking"] * len(still), still, cases[0])])
    assert blind.absent_tracking == 1 and blind.verdicts[0].lost_after is None
    assert blind.absence_detection_quality == 0 and blind.non_reported_error == 0
    table = comparison({"honest": figures, "blind": blind})
    assert "found within 20 after 30" in table and "| honest | blind |" in table
    assert np.isnan(blind.misled) and blind.to_dict()["misled"] is None


def test_verdicts_by_hand(pair: list[AnnotatedSequence]) -> None:
    case = case_of(pair, "covered")
    start, stop = case.absent
    truth = pair[0].truth_xywh[case.order]
    states = ["tracking"] * len(truth)
    states[start + 2 : stop + 7] = ["lost"] * (stop + 7 - start - 2)
    found = crafted(states, truth, case).verdict()
    assert (found.held_before, found.lost_after, found.found_after) == (True, 3, 8)
    assert not found.relocked and (found.false_frames, found.absent_frames) == (2, 30)

    elsewhere = truth.copy()
    elsewhere[stop:, 0] += 500
    away = crafted(states, elsewhere, case).verdict()
    assert away.found_after is None and away.relocked
    before = truth.copy()
    before[start - 1] += 500
    assert not crafted(states, before, case).verdict().held_before

    states[stop - 3] = "tracking"  # while nothing is there
    assert crafted(states, truth, case).verdict().relocked


def test_vot_measures_by_hand(pair: list[AnnotatedSequence]) -> None:
    case = case_of(pair, "covered")
    start = case.absent[0]
    truth = pair[0].truth_xywh[case.order]
    boxes, states = truth.copy(), ["tracking"] * len(truth)
    states[1:5] = ["lost"] * 4
    states[5] = "uncertain"  # in doubt, but a box is reported
    boxes[6:9, 0] += 500
    states[start : start + 10] = ["lost"] * 10
    figures = judgement_figures([crafted(states, boxes, case)])
    visible = len(truth) - 1 - 30
    assert figures.non_reported_error == pytest.approx(4 / visible)
    assert figures.drift_rate_error == pytest.approx(3 / visible)
    assert figures.absence_detection_quality == pytest.approx(10 / 30)
    # 29 frames in view before the absence, of which five are not reported as tracking.
    assert figures.in_view_not_tracking == pytest.approx(5 / 29)


def test_a_tracker_with_nothing_but_a_score_gets_its_best_threshold(
    pair: list[AnnotatedSequence],
) -> None:
    case = case_of(pair, "covered")
    truth = pair[0].truth_xywh[case.order]
    scores = np.where(case.visibility == 0, 0.4, 0.6)
    scores[3], scores[case.absent[0]] = 0.3, 0.7  # one of each kind is wrong
    result = case_result(case, SequenceResult(truth, scores, scores, ("",) * len(truth)))
    assert judgement_figures([result]).absent_tracking == 1
    threshold = best_threshold([result])
    assert threshold == 0.6
    (judged,) = with_threshold([result], threshold)
    assert judgement_figures([judged]).absent_tracking == pytest.approx(1 / 30)
    silent = replace(result, result=replace(result.result, scores=np.full(len(truth), np.nan)))
    assert np.isnan(best_threshold([silent]))


def test_cases_run_in_processes_and_are_kept(
    tmp_path: Path,
    pair: list[AnnotatedSequence],
    untrained: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(absence, "BEFORE", 5)
    monkeypatch.setattr(absence, "AFTER", 2)
    cases = absence_cases(pair, ["cut"], [1])
    quick = {"patch_size": 96, "grid_size": 11, "grid_spacing": 4, "box_refinement": False}
    config = TrackerConfig.from_dict(quick).to_dict()
    spec = TrackerSpec("quick", weights=untrained, config=config, device="cpu")
    found = run_cases(spec, cases, tmp_path / "out", workers=2, progress=False)
    assert [(r.sequence, r.kind) for r in found] == [("a", "cut"), ("b", "cut")]
    written = tmp_path / "out" / "quick" / "a.cut.1" / "a.cut.1_001.txt"
    before = written.stat().st_mtime_ns
    again = run_cases(spec, cases, tmp_path / "out", progress=False)
    assert written.stat().st_mtime_ns == before
    np.testing.assert_array_equal(again[0].result.boxes_xywh, found[0].result.boxes_xywh)


def test_kinds_are_what_the_documentation_names() -> None:
    assert KINDS == (*ABRUPT, "slid", "passed", "crossing")
    with pytest.raises(ValueError, match="one case and more"):
        judgement_figures([])
