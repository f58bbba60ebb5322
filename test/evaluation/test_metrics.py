"""Metrics against computation by hand and against the independent got10k toolkit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dcfst_core.evaluation import metrics
from dcfst_core.evaluation.conventions import CONVENTIONS


def random_boxes(seed: int, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """True boxes, and predicted ones that miss some of them a little and others altogether."""
    rng = np.random.default_rng(seed)
    truth = np.column_stack((rng.uniform(0, 300, (count, 2)), rng.uniform(5, 90, (count, 2))))
    spread = rng.choice([1.0, 8.0, 60.0], size=(count, 1))
    predicted = truth + rng.normal(0, 1, (count, 4)) * spread
    predicted[:, 2:] = np.clip(predicted[:, 2:], 1, None)
    return predicted, truth


def iou_by_hand(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes in plain Python."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    inter = max(width, 0) * max(height, 0)
    return float(inter / (a[2] * a[3] + b[2] * b[3] - inter))


def test_every_metric_agrees_with_plain_python_loops() -> None:
    predicted, truth = random_boxes(0)
    ious = [iou_by_hand(p, t) for p, t in zip(predicted, truth, strict=True)][1:]
    offsets = [
        (p[0] + p[2] / 2 - t[0] - t[2] / 2, p[1] + p[3] / 2 - t[1] - t[3] / 2, t[2], t[3])
        for p, t in zip(predicted, truth, strict=True)
    ][1:]
    n = len(ious)
    auc = sum(sum(i > k * 0.05 for i in ious) / n for k in range(21)) / 21
    near = sum(math.hypot(dx, dy) <= 20 for dx, dy, _, _ in offsets) / n
    near_normalised = sum(math.hypot(dx / w, dy / h) <= 0.2 for dx, dy, w, h in offsets) / n

    score = metrics.score_sequence(predicted, truth)

    assert score.auc == pytest.approx(auc, abs=1e-9)
    assert score.precision == pytest.approx(near, abs=1e-9)
    assert score.normalised_precision == pytest.approx(near_normalised, abs=1e-9)
    assert score.ao == pytest.approx(sum(ious) / n, abs=1e-9)
    assert score.sr50 == pytest.approx(sum(i > 0.5 for i in ious) / n, abs=1e-9)
    assert score.sr75 == pytest.approx(sum(i > 0.75 for i in ious) / n, abs=1e-9)
    assert (score.frames, score.absent_frames) == (n, 0)
    assert 0.1 < score.auc < 0.9  # the boxes above are neither all good nor all bad


def test_agrees_with_the_got10k_toolkit() -> None:
    reference = pytest.importorskip(
        "got10k.utils.metrics", reason="pip install shapely && pip install --no-deps got10k"
    )
    predicted, truth = random_boxes(1)
    ious = reference.rect_iou(predicted, truth)
    errors = reference.center_error(predicted, truth)

    np.testing.assert_allclose(metrics.overlaps(predicted, truth), ious, atol=1e-9)
    np.testing.assert_allclose(metrics.centre_errors(predicted, truth), errors, atol=1e-9)
    score = metrics.score_sequence(predicted, truth, convention=CONVENTIONS["otb"])
    thresholds = np.linspace(0, 1, 21)
    assert score.auc == pytest.approx((ious[:, None] > thresholds).mean(), abs=1e-9)
    assert score.precision == pytest.approx((errors <= 20).mean(), abs=1e-9)
    assert score.ao == pytest.approx(ious.mean(), abs=1e-9)


def test_a_perfect_and_a_useless_tracker() -> None:
    _, truth = random_boxes(2, count=30)
    perfect = metrics.score_sequence(truth, truth)
    # Overlap 1 is not above the last threshold, 1.0: the best possible AUC of 21 points is 20/21.
    assert perfect.auc == pytest.approx(20 / 21)
    assert (perfect.precision, perfect.sr75) == (1.0, 1.0)
    assert perfect.ao == pytest.approx(1.0, abs=1e-12)
    useless = metrics.score_sequence(truth + np.array([1e4, 0, 0, 0]), truth)
    assert (useless.auc, useless.precision, useless.ao) == (0.0, 0.0, 0.0)


def test_the_first_frame_counts_only_when_asked() -> None:
    truth = np.tile([10.0, 10, 20, 20], (5, 1))
    predicted = truth.copy()
    predicted[1:, 0] += 100
    assert metrics.score_sequence(predicted, truth).ao == 0.0
    assert metrics.score_sequence(
        predicted, truth, convention=CONVENTIONS["otb"]
    ).ao == pytest.approx(0.2)


@pytest.mark.parametrize("absent", [[np.nan] * 4, [0, 0, 0, 0], [5, 5, 0, 9]])
def test_absent_frames_are_left_out_and_counted(absent: list[float]) -> None:
    predicted, truth = random_boxes(3, count=20)
    with_absent = np.insert(truth, 7, absent, axis=0)
    extended = np.insert(predicted, 7, [1, 1, 5, 5], axis=0)
    plain = metrics.score_sequence(predicted, truth)
    score = metrics.score_sequence(extended, with_absent)
    assert (score.frames, score.absent_frames) == (19, 1)
    assert (score.auc, score.precision, score.ao) == (plain.auc, plain.precision, plain.ao)
    assert score.normalised_precision == plain.normalised_precision


def test_a_prediction_that_is_not_a_box_is_a_miss() -> None:
    truth = np.tile([10.0, 10, 20, 20], (3, 1))
    predicted = np.array([truth[0], [np.nan] * 4, [12.0, 12, -4, 10]])
    score = metrics.score_sequence(predicted, truth)
    assert (score.auc, score.precision, score.ao, score.frames) == (0.0, 0.0, 0.0, 2)


def test_means_leave_out_what_could_not_be_measured() -> None:
    predicted, truth = random_boxes(4, count=20)
    measured = metrics.score_sequence(predicted, truth, times_s=[9.0] + [0.1] * 19)
    hidden_truth = np.full_like(truth, np.nan)
    hidden = metrics.score_sequence(predicted, hidden_truth)
    assert math.isnan(hidden.auc) and hidden.to_dict()["auc"] is None
    mean = metrics.mean_score([measured, hidden])
    assert mean.auc == measured.auc
    assert mean.fps == pytest.approx(10.0)
    assert mean.frames == 19


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"shape \(N, 4\); got shape \(4,\)"):
        metrics.overlaps([1, 2, 3, 4], [[1, 2, 3, 4]])
    with pytest.raises(ValueError, match="2 frames, 1 boxes"):
        metrics.overlaps([[1, 2, 3, 4]], [[1, 2, 3, 4]] * 2)
