"""`dcfst-train judge`: the fitted filter is the tracker's, means what it says, and is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcfst_core import Tracker
from dcfst_core.evaluation.datasets import load_sequences
from dcfst_core.evaluation.trackers import TrackerSpec
from dcfst_core.network.checkpoint import load_model
from dcfst_core.track import Evidence
from dcfst_core.tracking import sighting
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.evidence import FEATURES, Usual, doubt, features
from dcfst_core.tracking.judgement import Belief, Choice, choose, judge
from dcfst_core.tracking.verifier import PLAIN_VERIFIER, Verifier
from dcfst_training.judge import main
from dcfst_training.judge.fit import Hazards, Run, clip_weights, fit, probabilities
from dcfst_training.judge.report import Judged, cross_validate, judged
from dcfst_training.judge.runs import ClipCases, collect, judge_cases, record, save_verifier

CONFIG = TrackerConfig.default()
HAZARDS = Hazards(CONFIG.vanishing, CONFIG.returning)
GOOD = Evidence(0.8, 0.1, 0.8, 0.02, 0.9, 0.9, 0.1, 0.02, 0.02)
SMALL = TrackerConfig(
    patch_size=96, grid_size=11, grid_spacing=4.0, precision="float32", box_refinement=False
)
PEAK, IOU = FEATURES.index("peak"), FEATURES.index("predicted_iou")
ZEROS = (0.0,) * len(FEATURES)


def drawn_run(clip: str, group: str, rng: np.random.Generator, frames: int = 80) -> Run:
    """The peak tells one long absence, the predicted IoU three bad boxes in ten, with errors."""
    present = np.ones(frames, dtype=bool)
    start = int(rng.integers(10, 40))
    present[start : start + 25] = False
    good = present & (rng.random(frames) < 0.7)
    values = np.zeros((frames, len(FEATURES)))
    values[:, PEAK] = np.where(present, 0.7, 0.35) + rng.normal(0, 0.15, frames)
    values[:, IOU] = np.where(good, 0.75, 0.6) + rng.normal(0, 0.08, frames)
    iou = np.where(good, 0.8, np.where(present, 0.35, 0.0))
    found = np.ones(frames, dtype=bool)
    return Run(clip, group, "slid", values, np.zeros(frames), found, iou, present)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    rng = np.random.default_rng(3)
    return [drawn_run(f"{group}{i}", group, rng) for group in "abc" for i in range(6)]


@pytest.fixture
def weights(untrained: str, tmp_path: Path) -> Path:
    """Weights whose metadata may be changed."""
    path = tmp_path / "w.safetensors"
    for suffix in (".safetensors", ".json"):
        path.with_suffix(suffix).write_bytes(Path(untrained).with_suffix(suffix).read_bytes())
    return path


def test_what_a_box_holds_and_what_a_find_is(runs: list[Run]) -> None:
    none = math.nan
    run = replace(runs[0], iou=np.array([none, 0, 0.05, 0.06, 0.24, 0.25, 0.49, 0.5, 1]))
    assert run.holds.tolist() == pytest.approx([none, 0, 0, 0, 0, 0, 0, 1, 1], nan_ok=True)
    # A little of the target in the box: neither the target nor something else.
    expected = [none, 0, 0, none, none, 1, 1, 1, 1]
    assert run.present.tolist() == pytest.approx(expected, nan_ok=True)


def test_the_fitted_filter_is_the_trackers_own() -> None:
    """Presence and score of `fit` equal those of `judge`, frame by frame, found or not."""
    rng = np.random.default_rng(0)
    seen = [
        replace(
            GOOD,
            peak=peak,
            predicted_iou=iou,
            distance=1.0,
            rival_nearness=near,
            colour_likeness=colours,
        )
        for peak, iou, near, colours in rng.uniform(0.1, 1.0, (40, 4)).tolist()
    ]
    found = rng.random(40) > 0.2
    belief, usual = Belief(), Usual()
    rows, doubts, presence, score = [], [], [], []
    for evidence, here in zip(seen, found, strict=True):
        rows.append(features(evidence, belief.usual) if here else ZEROS)
        doubts.append(doubt(evidence, belief.usual))
        choice = choose([evidence] if here else [], belief, PLAIN_VERIFIER)
        verdict = judge(belief, choice, PLAIN_VERIFIER, CONFIG)
        belief = verdict.belief
        presence.append(belief.presence)
        score.append(belief.score)
    assert belief.usual != usual  # it learned what is usual on the way
    assert min(doubts) < -3.5 and max(doubts) > -0.5  # some are a rival's, of other colours
    run = Run("c", "g", "plain", np.array(rows), np.array(doubts), found, np.ones(40), found)
    told = probabilities(PLAIN_VERIFIER, run, HAZARDS)
    assert told[0] == pytest.approx(presence, abs=1e-9)
    assert told[1] == pytest.approx(score, abs=1e-9)
    assert (told[1] < told[0]).all()


def test_probabilities_mean_what_they_say_on_a_set_left_out(runs: list[Run]) -> None:
    full = cross_validate(runs, HAZARDS, steps=200)
    assert full.calibration_error < 0.05
    missed, taken = full.told_wrong(0.5)
    assert missed < 0.05 and taken < 0.08
    plain = judged(runs, [probabilities(PLAIN_VERIFIER, run, HAZARDS) for run in runs])
    assert full.log_loss < plain.log_loss


def test_each_signal_has_its_weight_where_it_tells_something(runs: list[Run]) -> None:
    fitted = fit(runs, HAZARDS, steps=200)
    assert fitted.weight[PEAK] > 2 * abs(fitted.weight[IOU])
    assert fitted.quality_weight[IOU] > 4 * abs(fitted.quality_weight[PEAK])
    assert 0 < fitted.carry < 1
    told = [probabilities(fitted, run, HAZARDS) for run in runs]
    without = replace(fitted, quality_weight=ZEROS)
    level = [probabilities(without, run, HAZARDS) for run in runs]
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(told, level, strict=True))
    assert judged(runs, told).log_loss < judged(runs, level).log_loss - 0.02
    # Of a present target's boxes seven in ten hold it.
    share = np.concatenate([run.holds[run.visible] for run in runs]).mean()
    quality = [s / p for p, s in (probabilities(fitted, run, HAZARDS) for run in runs)]
    mean = np.concatenate([q[run.visible] for q, run in zip(quality, runs, strict=True)]).mean()
    assert mean == pytest.approx(share, abs=0.03)


def test_a_signal_that_is_not_used_has_no_weight(runs: list[Run]) -> None:
    verifier = fit(runs[:4], HAZARDS, steps=30, use=["peak"])
    for weights in (verifier.weight, verifier.quality_weight):
        assert [name for name, w in zip(FEATURES, weights, strict=True) if w != 0] == ["peak"]


def test_how_good_a_box_is_says_nothing_of_whose_it_is() -> None:
    """Signals of the shape may tell a box's quality, however well they tell presence too."""
    rng = np.random.default_rng(5)
    drawn = [drawn_run(f"{i}", "a", rng) for i in range(4)]
    for name in ("box_spread", "size_change", "aspect_change"):
        index = FEATURES.index(name)
        for run in drawn:
            run.features[:, index] = run.holds + rng.normal(0, 0.3, len(run.holds))
        verifier = fit(drawn, HAZARDS, steps=50)
        assert verifier.weight[index] == 0.0
        assert verifier.quality_weight[index] > 0.2


@pytest.mark.parametrize("unclear", [0.15, math.nan])
def test_what_nobody_can_tell_is_not_learned_from(runs: list[Run], unclear: float) -> None:
    """Whatever is seen in such frames; the filter goes on through them all the same."""
    iou = runs[0].iou.copy()
    iou[60:70] = unclear
    misleading = runs[0].features.copy()
    misleading[60:70, IOU] += 50.0
    one, other = replace(runs[0], iou=iou), replace(runs[0], iou=iou, features=misleading)
    fits = [fit([run, runs[1]], HAZARDS, steps=20) for run in (one, other)]
    for name in ("mean", "deviation", "quality_weight"):
        assert getattr(fits[0], name) == getattr(fits[1], name), name
    assert fits[0].mean[PEAK] != fit(runs[:2], HAZARDS, steps=20).mean[PEAK]


def test_a_box_where_nothing_was_found_says_nothing_of_good_boxes(runs: list[Run]) -> None:
    found = runs[0].found.copy()
    found[60:80] = False
    fits = []
    for iou in (0.3, 0.9):  # present both times: a guess lies on the target
        values = runs[0].iou.copy()
        values[60:80] = iou
        run = replace(runs[0], found=found, iou=values)
        fits.append(fit([run, runs[1]], HAZARDS, steps=20))
    assert fits[0] == fits[1]


@pytest.mark.parametrize("case", ["never the target", "never found"])
def test_runs_that_teach_nothing_give_no_numbers_that_are_none(runs: list[Run], case: str) -> None:
    run = replace(runs[0], iou=np.zeros_like(runs[0].iou))
    if case == "never found":
        run = replace(runs[0], found=np.zeros_like(runs[0].found), features=0 * run.features)
    verifier = fit([run], HAZARDS, steps=3)
    assert Verifier.from_metadata({"verifiers": {"288": verifier.to_metadata()}}, 288) == verifier


def test_every_clip_weighs_the_same_and_two_thirds_of_it_as_it_is() -> None:
    yes = np.ones(1, bool)
    rows = (np.zeros((1, len(FEATURES))), np.zeros(1), yes, np.ones(1), yes)
    kinds = (("a", "plain"), ("a", "cut"), ("a", "slid"), ("b", "cut"), ("c", "plain"))
    shares = clip_weights([Run(clip, "g", kind, *rows) for clip, kind in kinds])
    assert shares == pytest.approx([2 / 3, 1 / 6, 1 / 6, 1.0, 1.0])


def judged_by_hand() -> Judged:
    return Judged(
        presence=np.array([0.2, 0.6, 0.95, 1.0, 0.9]),
        score=np.array([0.12, 0.18, 0.95, 1.0, 0.55]),
        holds=np.array([0.0, 1.0, 1.0, 1.0, 0.0]),
        weight=np.array([1.0, 1.0, 2.0, 4.0, 2.0]),
        absent=np.array([True, False, False, False, True]),
    )


def test_calibration_error_and_log_loss_by_hand() -> None:
    found = judged_by_hand()
    # Bins of a tenth: two frames in the second, one in the sixth, two in the last.
    expected = [(0.15, 0.5, 0.2), (0.55, 0.0, 0.2), (5.9 / 6, 1.0, 0.6)]
    for row, wanted in zip(found.reliability(), expected, strict=True):
        assert row == pytest.approx(wanted)
    assert found.calibration_error == pytest.approx(0.2 * 0.35 + 0.2 * 0.55 + 0.6 * 0.1 / 6)
    losses = np.log([0.88, 0.18, 0.95, 1 - 1e-6, 0.45])
    assert found.log_loss == pytest.approx(-losses @ [1, 1, 2, 4, 2] / 10)


def test_told_wrong_is_about_the_presence() -> None:
    found = judged_by_hand()
    assert found.told_wrong(0.5) == (0.0, pytest.approx(2 / 3))
    assert found.told_wrong(0.7) == (pytest.approx(1 / 7), pytest.approx(2 / 3))
    assert found.told_wrong(0.97) == (pytest.approx(3 / 7), 0.0)
    present = replace(found, absent=np.zeros(5, dtype=bool))
    assert math.isnan(present.told_wrong(0.5)[1])
    none = replace(found, holds=np.zeros(5))
    assert math.isnan(none.told_wrong(0.5)[0])


def test_unknown_truth_is_not_judged(runs: list[Run]) -> None:
    iou = runs[0].iou.copy()
    iou[5:15] = np.nan
    half = np.full(len(iou), 0.5)
    known = judged([replace(runs[0], iou=iou)], [(half, 0.4 * half)])
    assert len(known.holds) == len(known.presence) == len(iou) - 10
    assert known.weight.sum() == pytest.approx(1.0)
    assert set(known.score.tolist()) == {0.2}
    # A box with a little of the target in it is judged: it does not hold it.
    judged_all = judged([replace(runs[0], iou=np.full(len(iou), 0.15))], [(half, half)])
    assert len(judged_all.holds) == len(iou) and judged_all.holds.max() == 0


@pytest.mark.parametrize("quality_bias", [4.0, -2.0])
def test_what_is_kept_of_a_run_is_what_the_tracker_weighed(
    tmp_path: Path,
    write_otb: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    quality_bias: float,
) -> None:
    """Also where boxes are not believed: what is learned follows from the presence."""
    weighed: list[Any] = []

    def also(before: Belief, choice: Choice | None, *others: Any) -> Any:
        weighed.append(ZEROS if choice is None else features(choice.evidence, before.usual))
        return judge(before, choice, *others)

    monkeypatch.setattr(sighting, "judge", also)
    (sequence,) = load_sequences(Path(write_otb(tmp_path / "X", frames=8, names=("A",))), "otb")
    tracker = Tracker(load_model(), SMALL)
    quality = replace(PLAIN_VERIFIER, quality_weight=ZEROS, quality_bias=quality_bias)
    tracker.verifier = replace(quality, weight=ZEROS, bias=3.0)
    (run,) = record(tracker, ClipCases("A", "X", sequence, []))
    assert run.found.all() and len(run.found) == 7
    presence, score = probabilities(tracker.verifier, run, HAZARDS)
    assert (presence >= SMALL.learning_threshold).all()
    assert ((score >= SMALL.learning_threshold) == (quality_bias > 0)).all()
    assert run.features == pytest.approx(np.array(weighed))


def test_an_absence_branches_off_the_run_of_its_clip(
    tmp_path: Path, write_otb: Callable[..., str]
) -> None:
    """What a branch says is what a run of the whole case says, and the clip's own run goes on."""
    sequences = load_sequences(Path(write_otb(tmp_path / "X", frames=14, names=("A",))), "otb")
    (cases,) = judge_cases(sequences)
    (hidden,) = cases.absences  # the clip ends before the others begin
    assert (hidden.kind, hidden.first_changed, hidden.absent) == ("removed", 10, (10, 16))
    plain, branch = record(Tracker(load_model(), SMALL), cases)
    assert (plain.kind, branch.kind) == ("plain", "removed")
    alone = Tracker(load_model(), SMALL)
    for index, frame in enumerate(hidden.images()):
        if index == 0:
            alone.init(frame, hidden.init_box_xywh)
        elif index:
            alone.update(frame)
    assert alone.track().evidence is not None
    assert branch.features[-1][0] == pytest.approx(max(alone.track().evidence.peak, 0.0))
    # Frames that both share are told once.
    assert np.isnan(branch.iou[:9]).all() and (branch.iou[9:] == 0).all()
    assert np.array_equal(branch.features[:9], plain.features[:9])
    assert not branch.visible[9:].any() and plain.visible.all()
    (single,) = record(Tracker(load_model(), SMALL), cases._replace(absences=[]))
    assert np.array_equal(single.features, plain.features)


def test_what_was_run_is_not_run_again_unless_the_verifier_changes(
    tmp_path: Path, weights: Path, write_otb: Callable[..., str]
) -> None:
    sequences = load_sequences(Path(write_otb(tmp_path / "X", frames=6, names=("A",))), "otb")
    cases = judge_cases(sequences, frames=6)
    spec = TrackerSpec("judge", weights=str(weights), config=SMALL.to_dict(), device="cpu")

    def collected() -> tuple[Run, list[Path]]:
        (run,) = collect(spec, cases, tmp_path / "runs", progress=False)
        return run, sorted((tmp_path / "runs").iterdir())

    first, files = collected()
    changed = files[0].stat().st_mtime_ns
    again, same = collected()
    assert same == files and files[0].stat().st_mtime_ns == changed
    for name in ("features", "found", "iou", "visible"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    # What a frame teaches, and where a box goes, is the verifier's to say.
    save_verifier(weights.with_suffix(".json"), replace(PLAIN_VERIFIER, bias=-5.0), 288)
    assert len(collected()[1]) == 2


def test_the_command_writes_the_verifier_that_the_tracker_reads(
    tmp_path: Path,
    weights: Path,
    write_otb: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("X", "Y"):
        write_otb(tmp_path / "data" / name, frames=12, names=(name,))
    command = ["--root", str(tmp_path / "data"), "--weights", str(weights)]
    main([*command, "--out", str(tmp_path / "out"), "--write"])
    printed = capsys.readouterr().out
    for word in ("peak_drop", "likeness_drop", "presence", "quality", "calibration error"):
        assert word in printed
    read = Verifier.from_metadata(json.loads(weights.with_suffix(".json").read_text()), 288)
    written = json.loads((tmp_path / "out" / "verifier.json").read_text())
    assert read == Verifier.from_metadata({"verifiers": {"288": written}}, 288)
    assert read != PLAIN_VERIFIER
    assert load_model(weights).metadata["note"] == "untrained, for tests"
    assert Tracker(load_model(weights)).verifier == read
    assert (tmp_path / "out" / "reliability.png").stat().st_size > 5000
