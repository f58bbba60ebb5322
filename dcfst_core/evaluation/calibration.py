"""Does a tracker know when it is wrong? Its score and state against the measured overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dcfst_core.evaluation.metrics import FloatArray, overlaps
from dcfst_core.evaluation.results import SequenceResult
from dcfst_core.evaluation.sequences import AnnotatedSequence, DatasetError
from dcfst_core.evaluation.tables import format_table

BINS = 10
MISS = 0.1


@dataclass(frozen=True)
class Calibration:
    """Scores (N,) and overlaps (N,) of all frames with a visible target, and their states."""

    scores: FloatArray
    overlaps: FloatArray
    states: tuple[str, ...]

    @property
    def rank_correlation(self) -> float:
        """Spearman's rank correlation of score and overlap; NaN where one of them is constant."""
        return rank_correlation(self.scores, self.overlaps)

    def text(self) -> str:
        """Tables: mean overlap by score, and by state; the rank correlation."""
        by_score = format_table(
            ("score", "frames", "mean score", "mean IoU", f"IoU < {MISS}"), self._score_rows()
        )
        by_state = format_table(
            ("state", "frames", "mean IoU", f"IoU < {MISS}"), self._state_rows()
        )
        correlation = f"Spearman rank correlation of score with IoU: {self.rank_correlation:.3f}"
        return f"{by_score}\n\n{by_state}\n\n{correlation}"

    def _score_rows(self) -> list[tuple[object, ...]]:
        places = np.clip((self.scores * BINS).astype(int), 0, BINS - 1)
        rows: list[tuple[object, ...]] = []
        for place in range(BINS):
            chosen = places == place
            if chosen.any():
                name = f"{place / BINS:.1f} to {(place + 1) / BINS:.1f}"
                mean_score = float(self.scores[chosen].mean())
                rows.append((name, int(chosen.sum()), mean_score, *self._overlap_cells(chosen)))
        return rows

    def _state_rows(self) -> list[tuple[object, ...]]:
        states = np.array(self.states)
        found = [s for s in ("tracking", "uncertain", "lost", "") if (states == s).any()]
        return [
            (
                state or "unknown",
                int((states == state).sum()),
                *self._overlap_cells(states == state),
            )
            for state in found
        ]

    def _overlap_cells(self, chosen: np.ndarray) -> tuple[float, float]:
        iou = self.overlaps[chosen]
        return float(iou.mean()), float((iou < MISS).mean())


def calibrate(
    results: Mapping[str, SequenceResult], sequences: Sequence[AnnotatedSequence]
) -> Calibration:
    """Gather scores and overlaps of every frame but the first of each sequence.

    DatasetError when the results hold no scores (another tracker's files).
    """
    scores, ious, states = [], [], []
    for sequence in sequences:
        result = results[sequence.name]
        iou = overlaps(result.boxes_xywh, sequence.truth_xywh)
        usable = np.isfinite(iou) & np.isfinite(result.scores)
        usable[0] = False
        scores.append(result.scores[usable])
        ious.append(iou[usable])
        states += [s for s, use in zip(result.states, usable, strict=True) if use]
    together = np.concatenate(scores)
    if not len(together):
        raise DatasetError("expected results with a score for each frame; there are no scores")
    return Calibration(together, np.concatenate(ious), tuple(states))


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation of two series of one length, ties sharing their mean rank."""
    ranks_a, ranks_b = _ranks(np.asarray(a)), _ranks(np.asarray(b))
    if len(ranks_a) < 2 or not ranks_a.std() or not ranks_b.std():
        return float("nan")
    return float(np.corrcoef(ranks_a, ranks_b)[0, 1])


def _ranks(values: np.ndarray) -> FloatArray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[places], dtype=np.float64)
