"""Calibration, absences, plots and the report, on results whose answers are known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from dcfst_core.evaluation import absence, calibration
from dcfst_core.evaluation.one_pass import run_sequence
from dcfst_core.evaluation.report import write_report
from dcfst_core.evaluation.results import SequenceResult
from dcfst_core.evaluation.sequences import AnnotatedSequence, DatasetError
from dcfst_core.evaluation.summary import evaluate
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.video import read_image


class Blind:
    """Says that it tracks, whatever happens."""

    def init(self, frame: np.ndarray, box: tuple[float, ...]) -> SimpleNamespace:
        self.track = SimpleNamespace(box_xywh=box, score=0.9, state="tracking")
        return self.track

    def update(self, frame: np.ndarray) -> SimpleNamespace:
        return self.track


def make_sequence(folder: Path, name: str, frames: int = 70, seed: int = 0) -> AnnotatedSequence:
    clip = SyntheticClip(frames, (160, 120), (24, 30), seed=seed, period=70)
    folder.mkdir(parents=True)
    paths = []
    for i, frame in enumerate(clip):
        paths.append(folder / f"{i:04d}.png")
        cv2.imwrite(str(paths[-1]), frame[..., ::-1])
    return AnnotatedSequence(name, tuple(paths), clip.boxes_xywh(), group="synthetic")


def test_rank_correlation_is_spearmans() -> None:
    assert calibration.rank_correlation([1, 2, 3, 4], [10, 20, 300, 4000]) == pytest.approx(1)
    assert calibration.rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 against 1, 3, 2, 4: covariance 4.5/4 over sqrt(4.5/4 * 5/4).
    expected = 4.5 / np.sqrt(4.5 * 5)
    assert calibration.rank_correlation([1, 2, 2, 5], [1, 3, 2, 9]) == pytest.approx(expected)
    assert np.isnan(calibration.rank_correlation([1, 1], [1, 2]))


def test_calibration_counts_frames_by_score_and_state(tmp_path: Path) -> None:
    sequence = make_sequence(tmp_path / "a", "a", frames=4)
    boxes = sequence.truth_xywh.copy()
    boxes[3, 0] += 1000
    scores = np.array([1.0, 0.95, 0.85, 0.15])
    result = SequenceResult(boxes, np.ones(4), scores, ("tracking",) * 3 + ("lost",))
    found = calibration.calibrate({"a": result}, [sequence])
    assert found.scores.tolist() == [0.95, 0.85, 0.15]  # the first frame does not count
    np.testing.assert_allclose(found.overlaps, [1, 1, 0], atol=1e-12)
    lines = [line.replace(" ", "") for line in found.text().splitlines()]
    assert "|0.1to0.2|1|0.150|0.000|1.000|" in lines
    assert "|tracking|2|1.000|0.000|" in lines
    assert "|lost|1|0.000|1.000|" in lines
    unscored = SequenceResult(boxes, np.ones(4), np.full(4, np.nan), ("",) * 4)
    with pytest.raises(DatasetError, match="score for each frame"):
        calibration.calibrate({"a": unscored}, [sequence])


@pytest.mark.parametrize("kind", absence.KINDS)
def test_the_target_is_really_gone_and_comes_back(
    template_tracker: type[Any], tmp_path: Path, kind: str
) -> None:
    sequence = make_sequence(tmp_path / "a", "a")
    other = make_sequence(tmp_path / "b", "b", seed=5)
    shown = list(absence.absence_frames(sequence, kind, 20, 30, other))
    assert len(shown) == 70
    tracker = template_tracker()
    tracker.init(shown[0], sequence.init_box_xywh)
    states = [tracker.update(frame).state for frame in shown[1:]]
    assert set(states[:19]) == {"tracking"} and set(states[19:29]) == {"lost"}
    assert set(states[29:]) == {"tracking"}
    original = read_image(sequence.frames[25])
    if kind != "cut":  # all but the target's surroundings stays as it is
        changed = np.argwhere((shown[25] != original).any(axis=2))
        x, y, w, h = sequence.truth_xywh[25]
        assert changed[:, 1].min() >= x - 0.1 * w - 1 and changed[:, 1].max() <= x + 1.1 * w + 1
        assert changed[:, 0].min() >= y - 0.1 * h - 1 and changed[:, 0].max() <= y + 1.1 * h + 1
    with pytest.raises(ValueError, match="got 'vanished'"):
        next(iter(absence.absence_frames(sequence, "vanished", 0, 5, other)))


def test_an_honest_tracker_and_a_blind_one_are_told_apart(
    template_tracker: type[Any], tmp_path: Path
) -> None:
    sequences = [make_sequence(tmp_path / n, n, seed=i) for i, n in enumerate("ab")]
    honest = absence.measure_absences(template_tracker(), sequences, progress=False)
    assert len(honest) == 6
    assert all(c.held_before and c.lost_after == 1 and c.found_after == 1 for c in honest)
    assert not any(c.relocked or c.false_frames for c in honest)
    table = absence.absence_table(honest)
    assert table.splitlines()[-1].replace(" ", "") == "|all|6|1.000|1.000|0.000|0.000|"

    start, stop = absence.absence_span(70)
    still = SequenceResult(
        np.repeat(sequences[0].truth_xywh[:1], 70, axis=0),
        np.ones(70),
        np.ones(70),
        ("tracking",) * 70,
    )
    blind = absence.judge_absence(sequences[0], "cut", still, start, stop)
    assert blind.lost_after is None and blind.false_frames == stop - start


def test_a_case_that_locks_onto_something_else_is_seen(tmp_path: Path) -> None:
    sequence = make_sequence(tmp_path / "a", "a")
    boxes = sequence.truth_xywh.copy()
    states = ["tracking"] * 70
    states[25:40] = ["lost"] * 15
    boxes[40:, 0] += 500
    result = SequenceResult(boxes, np.ones(70), np.ones(70), tuple(states))
    case = absence.judge_absence(sequence, "covered", result, 23, 46)
    assert (case.lost_after, case.found_after, case.relocked) == (3, None, True)
    assert case.false_frames == 2 + 6


def test_the_report_holds_tables_plots_and_strips(
    template_tracker: type[Any], tmp_path: Path
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
