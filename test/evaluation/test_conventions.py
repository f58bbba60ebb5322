"""Each convention against its toolkit's published definition, written out as plain loops.

References: the got10k package's `ExperimentOTB.report` and `ExperimentGOT10k.report` (MIT).
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from dcfst_core.evaluation.conventions import CONVENTIONS, GOT10K, OF_FORMAT, OTB, STRICT
from dcfst_core.evaluation.datasets import FORMATS
from dcfst_core.evaluation.metrics import frame_errors, mean_score, score_sequence
from dcfst_core.evaluation.results import SequenceResult
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.summary import Evaluation, comparison_table, evaluate

WIDTH, HEIGHT = 320, 200
Pair = tuple[np.ndarray, np.ndarray]


def pair(seed: int, count: int, absent: tuple[int, ...] = ()) -> Pair:
    """Predicted and true boxes; some true ones reach over the frame's border, some are absent."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform((-30, -20), (WIDTH - 30, HEIGHT - 20), (count, 2))
    truth = np.hstack((corners, rng.uniform(20, 90, (count, 2))))
    truth[0] = (100, 80, 40, 30)
    predicted = truth + rng.normal(0, 1, (count, 4)) * rng.choice([1.0, 9.0, 50.0], (count, 1))
    predicted[:, 2:] = np.clip(predicted[:, 2:], 1, None)
    predicted[0] = truth[0]
    truth[list(absent)] = np.nan
    return predicted, truth


@pytest.fixture
def unequal(tmp_path: Path) -> tuple[list[AnnotatedSequence], dict[str, SequenceResult]]:
    """Four sequences of 9 to 120 frames, two of them with absent frames."""
    path = tmp_path / "frame.png"
    cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    sequences, results = [], {}
    plan = {"a": (9, ()), "b": (120, (5, 6, 7, 60)), "c": (40, ()), "d": (25, (24,))}
    for seed, (name, (count, absent)) in enumerate(plan.items()):
        predicted, truth = pair(seed, count, absent)
        sequences.append(
            AnnotatedSequence(name, (path,) * count, truth, group="ab" if seed < 2 else "cd")
        )
        results[name] = SequenceResult(predicted, np.ones(count), np.ones(count), ("",) * count)
    return sequences, results


def iou(a: list[float], b: list[float]) -> float:
    """NaN boxes overlap nothing."""
    if any(math.isnan(v) for v in (*a, *b)):
        return math.nan
    w = max(min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]), 0.0)
    h = max(min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]), 0.0)
    return w * h / (a[2] * a[3] + b[2] * b[3] - w * h + np.finfo(float).eps)


def centre_distance(a: list[float], b: list[float]) -> float:
    return math.hypot(a[0] + a[2] / 2 - b[0] - b[2] / 2, a[1] + a[3] / 2 - b[1] - b[3] / 2)


def otb_reference(pairs: list[Pair]) -> tuple[float, float]:
    """Success and precision: means over sequences of curves over all frames; NaN never passes."""
    success, precision = [], []
    for predicted, truth in pairs:
        ious = [iou(p, t) for p, t in zip(predicted.tolist(), truth.tolist(), strict=True)]
        errors = [
            centre_distance(p, t) for p, t in zip(predicted.tolist(), truth.tolist(), strict=True)
        ]
        thresholds = [k / 20 for k in range(21)]
        success.append(
            sum(sum(i > t for i in ious) / len(ious) for t in thresholds) / len(thresholds)
        )
        precision.append(sum(e <= 20 for e in errors) / len(errors))
    return sum(success) / len(success), sum(precision) / len(precision)


def got10k_reference(pairs: list[Pair]) -> tuple[float, float, float]:
    """AO and SR over the frames of all sequences but the first ones, where the target is seen."""

    def bound(box: list[float]) -> list[float]:
        x, y = min(max(box[0], 0), WIDTH), min(max(box[1], 0), HEIGHT)
        return [x, y, min(max(box[2], 0), WIDTH - x), min(max(box[3], 0), HEIGHT - y)]

    ious = [
        iou(bound(p), bound(t))
        for predicted, truth in pairs
        for p, t in zip(predicted[1:].tolist(), truth[1:].tolist(), strict=True)
        if not math.isnan(t[0])
    ]
    n = len(ious)
    return sum(ious) / n, sum(i > 0.5 for i in ious) / n, sum(i > 0.75 for i in ious) / n


def test_otb_counts_every_frame_and_averages_sequences(unequal) -> None:
    sequences, results = unequal
    pairs = [(results[s.name].boxes_xywh, s.truth_xywh) for s in sequences]
    success, precision = otb_reference(pairs)
    found = evaluate("t", results, sequences, OTB)
    assert found.mean.auc == pytest.approx(success, abs=1e-9)
    assert found.mean.precision == pytest.approx(precision, abs=1e-9)
    assert found.curves.success.mean() == pytest.approx(success, abs=1e-9)
    assert found.curves.precision[20] == pytest.approx(precision, abs=1e-9)
    assert (found.mean.frames, found.mean.absent_frames) == (9 + 120 + 40 + 25, 5)
    group, _ = otb_reference(pairs[:2])
    assert found.groups["ab"].auc == pytest.approx(group, abs=1e-9)


def test_got10k_pools_the_seen_frames_of_all_sequences(unequal) -> None:
    sequences, results = unequal
    pairs = [(results[s.name].boxes_xywh, s.truth_xywh) for s in sequences]
    found = evaluate("t", results, sequences, GOT10K)
    ours = (found.mean.ao, found.mean.sr50, found.mean.sr75)
    assert ours == pytest.approx(got10k_reference(pairs), abs=1e-9)
    assert found.mean.frames == 9 + 120 + 40 + 25 - 4 - 5
    ours = (found.groups["cd"].ao, found.groups["cd"].sr50, found.groups["cd"].sr75)
    assert ours == pytest.approx(got10k_reference(pairs[2:]), abs=1e-9)
    # Means over sequences would be another number here.
    single = [got10k_reference([p])[0] for p in pairs]
    assert abs(sum(single) / 4 - found.mean.ao) > 0.003


def test_the_strict_convention_leaves_out_what_was_given_or_absent(unequal) -> None:
    sequences, results = unequal
    pairs = [(results[s.name].boxes_xywh, s.truth_xywh) for s in sequences]
    seen = [(p[1:][~np.isnan(t[1:, 0])], t[1:][~np.isnan(t[1:, 0])]) for p, t in pairs]
    success, precision = otb_reference(seen)
    found = evaluate("t", results, sequences)
    assert found.convention is STRICT
    assert found.mean.auc == pytest.approx(success, abs=1e-9)
    assert found.mean.precision == pytest.approx(precision, abs=1e-9)
    assert found.to_dict()["convention"] == "strict"


def test_the_toolkit_itself_agrees() -> None:
    reference = pytest.importorskip(
        "got10k.utils.metrics", reason="pip install shapely && pip install --no-deps got10k"
    )
    predicted, truth = pair(5, 60)
    ours = frame_errors(predicted, truth, GOT10K, (WIDTH, HEIGHT)).overlap
    bounded = reference.rect_iou(predicted[1:].copy(), truth[1:].copy(), bound=(WIDTH, HEIGHT))
    np.testing.assert_allclose(ours, bounded, atol=1e-9)


def test_every_format_has_a_convention_and_it_is_named(unequal) -> None:
    assert set(OF_FORMAT) == set(FORMATS)
    assert set(CONVENTIONS) == {"strict", "otb", "got10k"}
    assert "absent frames are failures, means over sequences" in OTB.text()
    assert "the first frame is left out" in GOT10K.text() and "all frames" in GOT10K.text()
    evaluation: Evaluation = evaluate("t", unequal[1], unequal[0], OTB)
    assert "AUC ab" in comparison_table([evaluation])


def test_unpublished_boxes_are_not_failures() -> None:
    truth = np.full((6, 4), np.nan)
    truth[0] = (10, 10, 20, 20)
    hidden = score_sequence(np.tile(truth[0], (6, 1)), truth, convention=OTB)
    assert math.isnan(hidden.auc) and hidden.frames == 0
    shown = score_sequence(*pair(1, 10), convention=OTB)
    assert mean_score([shown, hidden], pooled=True).auc == shown.auc
    with pytest.raises(ValueError, match="frames' size for the convention got10k"):
        score_sequence(*pair(1, 10), convention=GOT10K)
