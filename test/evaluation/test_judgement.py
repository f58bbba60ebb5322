"""Calibration, plots and the report, on results whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from dcfst_core.evaluation import calibration
from dcfst_core.evaluation.one_pass import run_sequence
from dcfst_core.evaluation.report import write_report
from dcfst_core.evaluation.results import SequenceResult
from dcfst_core.evaluation.sequences import AnnotatedSequence, DatasetError
from dcfst_core.evaluation.summary import evaluate


class Blind:
    """Says that it tracks, whatever happens."""

    def init(self, frame: np.ndarray, box: tuple[float, ...]) -> SimpleNamespace:
        self.track = SimpleNamespace(box_xywh=box, score=0.9, state="tracking")
        return self.track

    def update(self, frame: np.ndarray) -> SimpleNamespace:
        return self.track


def test_rank_correlation_is_spearmans() -> None:
    assert calibration.rank_correlation([1, 2, 3, 4], [10, 20, 300, 4000]) == pytest.approx(1)
    assert calibration.rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 against 1, 3, 2, 4: covariance 4.5/4 over sqrt(4.5/4 * 5/4).
    expected = 4.5 / np.sqrt(4.5 * 5)
    assert calibration.rank_correlation([1, 2, 2, 5], [1, 3, 2, 9]) == pytest.approx(expected)
    assert np.isnan(calibration.rank_correlation([1, 1], [1, 2]))


def test_calibration_counts_frames_by_score_and_state(
    tmp_path: Path, make_sequence: Callable[..., AnnotatedSequence]
) -> None:
    sequence = make_sequence(tmp_path / "a", "a", frames=4)
    boxes = sequence.truth_xywh.copy()
    boxes[3, 0] += 1000
    scores = np.array([1.0, 0.95, 0.85, 0.15])
    result = SequenceResult(boxes, np.ones(4), scores, ("tracking",) * 3 + ("lost",))
    found = calibration.calibrate({"a": result}, [sequence])
    assert found.scores.tolist() == [0.95, 0.85, 0.15]  # the first frame does not count
    np.testing.assert_allclose(found.overlaps, [1, 1, 0], atol=1e-12)
    lines = [line.replace(" ", "") for line in found.text().splitlines()]
    assert "|0.1to0.2|1|0.150|0.000|0.000|1.000|" in lines
    assert "|tracking|2|1.000|0.000|" in lines
    assert "|lost|1|0.000|1.000|" in lines
    unscored = SequenceResult(boxes, np.ones(4), np.full(4, np.nan), ("",) * 4)
    with pytest.raises(DatasetError, match="score for each frame"):
        calibration.calibrate({"a": unscored}, [sequence])


def test_the_calibration_error_is_the_gap_between_score_and_share_in_the_box() -> None:
    # Two bins: four frames of score .8 with three in the box, one of score .1 with none.
    honest = calibration.Calibration(
        np.array([0.8, 0.8, 0.8, 0.8, 0.1]), np.array([0.9, 0.5, 0.7, 0.49, 0.0]), ("",) * 5
    )
    assert honest.expected_error == pytest.approx((4 * abs(0.8 - 0.75) + 0.1) / 5)
    nothing = calibration.Calibration(np.zeros(0), np.zeros(0), ())
    assert np.isnan(nothing.expected_error)


def test_the_report_holds_tables_plots_and_strips(
    template_tracker: type[Any], tmp_path: Path, make_sequence: Callable[..., AnnotatedSequence]
) -> None:
    sequences = [make_sequence(tmp_path / n, n, frames=12, seed=i) for i, n in enumerate("ab")]
    results = {
        name: {s.name: run_sequence(tracker, s) for s in sequences}
        for name, tracker in (("good", template_tracker()), ("blind", Blind()))
    }
    evaluations = [evaluate(name, found, sequences) for name, found in results.items()]
    path = write_report(evaluations, results, sequences, tmp_path / "report")
    text = path.read_text()
    assert f"{evaluations[0].mean.auc:.3f}" in text and "Spearman" in text
    strip = cv2.imread(str(tmp_path / "report" / "strip_a.jpg"))
    assert strip is not None and strip.shape[1] > 900
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        assert "No plots" in text
        return
    for name in ("success", "precision", "normalised_precision", "speed"):
        assert f"({name}.png)" in text
        plot = cv2.imread(str(tmp_path / "report" / f"{name}.png"))
        assert plot is not None and plot.std() > 5
