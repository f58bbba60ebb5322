"""Tuning: ranges, resuming, and a cross-validation that tells luck from gain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.tuning import (
    Dimension,
    Trial,
    cross_validate,
    random_folds,
    set_folds,
    tune,
)
from dcfst_core.tracking.config import TrackerConfig


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learning_rate=0.01:0.1:log", Dimension("learning_rate", 0.01, 0.1, True)),
        ("update_interval=1:10", Dimension("update_interval", 1, 10)),
        ("memory=average,gram", Dimension("memory", choices=("average", "gram"))),
        ("subgrid_peak=true,false", Dimension("subgrid_peak", choices=(True, False))),
    ],
)
def test_ranges(text: str, expected: Dimension) -> None:
    assert Dimension.parse(text) == expected


@pytest.mark.parametrize("text", ["speed=1:2", "learning_rate=fast", "learning_rate=1:2:3:4"])
def test_bad_ranges_are_named(text: str) -> None:
    with pytest.raises(ValueError, match=text.split("=")[0]):
        Dimension.parse(text)


def test_luck_does_not_survive_cross_validation() -> None:
    rng = np.random.default_rng(0)
    baseline = np.full(15, 0.7)
    best, expected = [], []
    for _ in range(20):
        lucky = [Trial(i, {}, baseline + rng.normal(0, 0.05, 15)) for i in range(1, 60)]
        best.append(max(float(trial.auc.mean()) for trial in lucky) - 0.7)
        expected.append(cross_validate([Trial(0, {}, baseline), *lucky], random_folds(15, 5))[0])
    assert np.mean(best) > 0.02  # on the sequences it was chosen on, luck looks like a gain
    assert abs(np.mean(expected)) < 0.01


def test_a_real_gain_survives_cross_validation() -> None:
    rng = np.random.default_rng(0)
    baseline = rng.uniform(0.5, 0.9, 15)
    trials = [Trial(0, {}, baseline), Trial(1, {}, baseline - 0.02), Trial(2, {}, baseline + 0.03)]
    gain, chosen = cross_validate(trials, random_folds(15, 5))
    assert gain == pytest.approx(0.03)
    assert chosen == [2] * 5


def test_whole_sets_are_held_out() -> None:
    truth = np.tile([10.0, 10, 20, 20], (2, 1))
    sequences = [
        AnnotatedSequence(name, (Path("x"),) * 2, truth, group=group)
        for name, group in (("a", "OTB"), ("b", "TLD"), ("c", "OTB"), ("d", "TLD"))
    ]
    folds = set_folds(sequences)
    assert [fold.tolist() for fold in folds] == [[0, 2], [1, 3]]
    # What gains on one set alone is chosen for the other, and loses there.
    trials = [Trial(0, {}, np.full(4, 0.5)), Trial(1, {}, np.array([0.6, 0.4, 0.6, 0.4]))]
    gain, chosen = cross_validate(trials, folds)
    assert gain == pytest.approx(-0.05) and chosen == [0, 1]
    with pytest.raises(ValueError, match="all are of 'OTB'"):
        set_folds(sequences[::2])
    with pytest.raises(ValueError, match="2 to 4 folds for 4 sequences; got 5"):
        random_folds(4, 5)


def test_trials_are_kept_and_a_second_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dcfst_core.evaluation import tuning
    from dcfst_core.evaluation.results import SequenceResult
    from dcfst_core.evaluation.trackers import TrackerSpec

    truth = np.tile([10.0, 10, 20, 20], (5, 1))
    sequences = [AnnotatedSequence(name, (Path("x"),) * 5, truth) for name in ("a", "b")]
    ran: list[str] = []

    def off_by_the_rate(spec: TrackerSpec, todo: list, *_: object, **__: object) -> dict:
        """A tracker whose boxes are the better, the lower the learning rate."""
        ran.append(spec.name)
        boxes = truth + np.array([100 * spec.config["learning_rate"], 0, 0, 0])
        return {s.name: SequenceResult(boxes, np.ones(5), np.ones(5), ()) for s in todo}

    monkeypatch.setattr(tuning, "run_one_pass", off_by_the_rate)
    spec = TrackerSpec("baseline", config=TrackerConfig().to_dict())
    space = [Dimension("learning_rate", 0.001, 0.2, True)]
    first = tune(spec, space, sequences, 3, tmp_path)
    again = tune(spec, space, sequences, 8, tmp_path)
    assert [t.number for t in again] == list(range(8)) and len(ran) == 8
    assert first[0].changes == {"learning_rate": TrackerConfig().learning_rate}
    best = max(again, key=lambda trial: float(trial.auc.mean()))
    assert best.changes["learning_rate"] == min(t.changes["learning_rate"] for t in again)
