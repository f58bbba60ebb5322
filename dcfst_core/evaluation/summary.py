"""From results to scores: per sequence, per set, per attribute, and in the mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dcfst_core.evaluation.conventions import STRICT, Convention
from dcfst_core.evaluation.metrics import (
    Curves,
    FrameErrors,
    SequenceScore,
    frame_errors,
    mean_score,
    score_errors,
    sequence_curves,
)
from dcfst_core.evaluation.results import SequenceResult
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.tables import format_table
from dcfst_core.media.video import read_image

HEADERS = ("AUC", "P20", "Pnorm", "AO", "SR.5", "SR.75", "FPS")


@dataclass(frozen=True)
class Evaluation:
    """One tracker's scores on a set of sequences.

    groups, attributes: means over the sequences of one set or class, and of one attribute.
    curves: means over sequences (or frames, where the convention pools them), as in the papers'
    plots. convention: what all of it was made by.
    """

    tracker: str
    scores: dict[str, SequenceScore]
    mean: SequenceScore
    groups: dict[str, SequenceScore]
    attributes: dict[str, SequenceScore]
    curves: Curves
    convention: Convention = STRICT

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "tracker": self.tracker,
            "convention": self.convention.name,
            "mean": self.mean.to_dict(),
            "groups": {k: v.to_dict() for k, v in self.groups.items()},
            "attributes": {k: v.to_dict() for k, v in self.attributes.items()},
            "sequences": {k: v.to_dict() for k, v in self.scores.items()},
            "success_curve": _plain(self.curves.success),
            "precision_curve": _plain(self.curves.precision),
            "normalised_precision_curve": _plain(self.curves.normalised_precision),
        }


def evaluate(
    tracker: str,
    results: Mapping[str, SequenceResult],
    sequences: Sequence[AnnotatedSequence],
    convention: Convention = STRICT,
) -> Evaluation:
    """Score a tracker's results; `results` holds one entry for each sequence name.

    Several starts of one clip become one score, their mean, under the clip's name.
    """
    by_clip: dict[str, list[SequenceScore]] = {}
    curves, frames = [], []
    for sequence in sequences:
        result = results[sequence.name]
        errors = _errors(result, sequence, convention)
        score = score_errors(errors, result.times_s)
        by_clip.setdefault(sequence.clip or sequence.name, []).append(score)
        curves.append(sequence_curves(errors))
        frames.append(float(score.frames) if convention.pooled else 1.0)
    scores = {name: mean_score(found) for name, found in by_clip.items()}
    groups = {s.name: (s.group,) if s.group else () for s in sequences if s.name in scores}
    attributes = {s.name: s.attributes for s in sequences if s.name in scores}
    pooled = convention.pooled
    return Evaluation(
        tracker,
        scores,
        mean_score(list(scores.values()), pooled),
        _means_by(groups, scores, pooled),
        _means_by(attributes, scores, pooled),
        Curves(
            _mean_curve([c.success for c in curves], frames),
            _mean_curve([c.precision for c in curves], frames),
            _mean_curve([c.normalised_precision for c in curves], frames),
        ),
        convention,
    )


def _errors(
    result: SequenceResult, sequence: AnnotatedSequence, convention: Convention
) -> FrameErrors:
    size = None
    if convention.bounded:
        height, width = read_image(sequence.frames[0]).shape[:2]
        size = (width, height)
    return frame_errors(result.boxes_xywh, sequence.truth_xywh, convention, size)


def sequence_table(evaluation: Evaluation) -> str:
    """One line a sequence, then the means of the sets and of everything."""
    rows = [(name, score.frames, *_row(score)) for name, score in evaluation.scores.items()]
    if len(evaluation.groups) > 1:
        for name, score in evaluation.groups.items():
            rows.append((f"mean {name}", score.frames, *_row(score)))
    rows.append(("mean", evaluation.mean.frames, *_row(evaluation.mean)))
    return format_table((evaluation.tracker, "frames", *HEADERS), rows)


def comparison_table(evaluations: Sequence[Evaluation]) -> str:
    """One line a tracker: all metrics in the mean, and the AUC of each set."""
    groups = list(evaluations[0].groups) if len(evaluations[0].groups) > 1 else []
    headers = ("tracker", *HEADERS, *(f"AUC {g}" for g in groups))
    rows = [(e.tracker, *_row(e.mean), *(e.groups[g].auc for g in groups)) for e in evaluations]
    return format_table(headers, rows)


def auc_table(evaluations: Sequence[Evaluation], by: str = "scores") -> str:
    """AUC side by side: one line a sequence (`scores`) or attribute, one column a tracker."""
    names = list(getattr(evaluations[0], by))
    rows = [(name, *(getattr(e, by)[name].auc for e in evaluations)) for name in names]
    rows.append(("mean", *(e.mean.auc for e in evaluations)))
    return format_table(("AUC", *(e.tracker for e in evaluations)), rows)


def _row(score: SequenceScore) -> tuple[float | str, ...]:
    accuracy = (score.auc, score.precision, score.normalised_precision, score.ao, score.sr50)
    fps = "-" if score.fps != score.fps else f"{score.fps:.1f}"
    return (*accuracy, score.sr75, fps)


def _means_by(
    keys: Mapping[str, Sequence[str]], scores: Mapping[str, SequenceScore], pooled: bool
) -> dict[str, SequenceScore]:
    """Mean score for each key over the sequences that have it, in order of first appearance."""
    members: dict[str, list[SequenceScore]] = {}
    for name, names_keys in keys.items():
        for key in names_keys:
            members.setdefault(key, []).append(scores[name])
    return {key: mean_score(found, pooled) for key, found in members.items()}


def _mean_curve(curves: list[np.ndarray], weights: list[float]) -> np.ndarray:
    measured = [i for i, c in enumerate(curves) if not np.isnan(c).any()]
    if not measured:
        return np.full_like(curves[0], np.nan)
    chosen = [weights[i] for i in measured]
    return np.asarray(np.average([curves[i] for i in measured], axis=0, weights=chosen))


def _plain(curve: np.ndarray) -> list[float] | None:
    return None if np.isnan(curve).any() else [float(v) for v in curve]
