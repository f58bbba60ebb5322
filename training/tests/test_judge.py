"""`dcfst-train judge`: the fitted filter is the tracker's, means what it says, and is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dcfst_core.track import Evidence
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.evidence import FEATURES, Usual, features
from dcfst_core.tracking.judgement import PLAIN_VERIFIER, Belief, Verifier, judge
from dcfst_training.judge import main
from dcfst_training.judge.fit import Hazards, Run, clip_weights, fit, probabilities
from dcfst_training.judge.report import cross_validate, judged

CONFIG = TrackerConfig.default()
HAZARDS = Hazards(CONFIG.vanishing, CONFIG.returning)
GOOD = Evidence(0.8, 0.1, 1.0, 0.8, 0.02, 0.9, 0.9, 0.3, 0.1, 0.02, 0.02)


def drawn_run(clip: str, group: str, rng: np.random.Generator, frames: int = 80) -> Run:
    """Evidence that tells present from absent with some error, in one long absence."""
    present = np.ones(frames, dtype=bool)
    start = int(rng.integers(10, 40))
    present[start : start + 25] = False
    values = np.zeros((frames, len(FEATURES)))
    values[:, 0] = np.where(present, 0.7, 0.35) + rng.normal(0, 0.15, frames)
    values[:, 4] = np.where(present, 0.75, 0.6) + rng.normal(0, 0.1, frames)
    iou = np.where(present, 0.8, 0.0)
    return Run(clip, group, "slid", values, np.ones(frames, dtype=bool), iou, present)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    rng = np.random.default_rng(3)
    return [drawn_run(f"{group}{i}", group, rng) for group in "abc" for i in range(6)]


def test_the_fitted_filter_is_the_trackers_own() -> None:
    """Probabilities of `fit` equal those of `judge`, frame by frame, found or not."""
    rng = np.random.default_rng(0)
    seen = [
        replace(GOOD, peak=float(peak), predicted_iou=float(iou))
        for peak, iou in rng.uniform(0.1, 1.0, (40, 2))
    ]
    found = rng.random(40) > 0.2
    belief, usual = Belief(), Usual()
    rows, wanted = [], []
    for evidence, here in zip(seen, found, strict=True):
        rows.append(features(evidence, belief.usual) if here else (0.0,) * len(FEATURES))
        verdict = judge(belief, evidence if here else None, PLAIN_VERIFIER, CONFIG)
        belief = verdict.belief
        wanted.append(belief.probability)
    assert belief.usual != usual  # it learned what is usual on the way
    run = Run("c", "g", "plain", np.array(rows), found, np.ones(40), found)
    assert probabilities(PLAIN_VERIFIER, run, HAZARDS) == pytest.approx(wanted, abs=1e-9)


def test_probabilities_mean_what_they_say_on_a_set_left_out(runs: list[Run]) -> None:
    full = cross_validate(runs, HAZARDS, steps=200)
    assert full.calibration_error < 0.05
    missed, taken = full.told_wrong(0.5)
    assert missed < 0.05 and taken < 0.08
    plain = judged(runs, [probabilities(PLAIN_VERIFIER, run, HAZARDS) for run in runs])
    assert full.log_loss < plain.log_loss


def test_a_signal_that_is_not_used_has_no_weight(runs: list[Run]) -> None:
    verifier = fit(runs[:4], HAZARDS, steps=30, use=["peak"])
    used = [name for name, w in zip(FEATURES, verifier.weight, strict=True) if w != 0]
    assert used == ["peak"]
    assert 0 < verifier.carry < 1


def test_every_clip_weighs_the_same_and_in_it_every_kind(runs: list[Run]) -> None:
    a, b = runs[0], runs[1]
    shares = clip_weights([a, replace(a, kind="plain"), replace(a, kind="plain"), b])
    assert shares == [0.5, 0.25, 0.25, 1.0]


def test_unknown_truth_is_not_judged(runs: list[Run]) -> None:
    iou = runs[0].iou.copy()
    iou[5:15] = np.nan
    known = judged([replace(runs[0], iou=iou)], [np.full(len(iou), 0.5)])
    assert len(known.label) == len(iou) - 10


def test_the_command_writes_the_verifier_that_the_tracker_reads(
    tmp_path: Path, untrained: str, write_otb, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(Path(untrained).read_bytes())
    metadata = weights.with_suffix(".json")
    metadata.write_text(Path(untrained).with_suffix(".json").read_text())
    for name in ("X", "Y"):
        write_otb(tmp_path / "data" / name, frames=12, names=(name,))
    command = ["--root", str(tmp_path / "data"), "--weights", str(weights), "--kinds", "1"]
    main([*command, "--out", str(tmp_path / "out"), "--duration", "4", "--write"])
    printed = capsys.readouterr().out
    assert "relative_peak" in printed and "calibration error" in printed
    read = Verifier.from_metadata(json.loads(metadata.read_text()))
    assert read == Verifier.from_metadata(
        {"verifier": json.loads((tmp_path / "out" / "verifier.json").read_text())}
    )
    assert read != PLAIN_VERIFIER
    assert (tmp_path / "out" / "reliability.png").stat().st_size > 5000
