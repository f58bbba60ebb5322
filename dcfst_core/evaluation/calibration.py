"""Does a tracker know when it is wrong? Its score and state against the measured overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcfst_core.evaluation.metrics import FloatArray, has_area, overlaps
from dcfst_core.evaluation.results import SequenceResult
from dcfst_core.evaluation.sequences import AnnotatedClip, DatasetError
from dcfst_core.evaluation.tables import format_table

BINS = 10
MISS = 0.1
HIT = 0.5


@dataclass(frozen=True)
class Calibration:
    """Scores (N,), overlaps (N,) and states of frames; the overlap with an absent target is 0.

    in_box: (N,) whether the target was in the box: IoU of 0.5 and more.
    """

    scores: FloatArray
    overlaps: FloatArray
    states: tuple[str, ...]

    @property
    def in_box(self) -> NDArray[np.bool_]:
        return self.overlaps >= HIT

    @property
    def rank_correlation(self) -> float:
        """Spearman's rank correlation of score and overlap; NaN where one of them is constant."""
        return rank_correlation(self.scores, self.overlaps)

    @property
    def expected_error(self) -> float:
        """Expected calibration error: of the frames with score .8, are 80% in the box?

        Mean over frames of the gap, in each of ten equal bins of the score, between the mean score
        and the share of frames with the target in the box. Source: Guo et al., "On Calibration of
        Modern Neural Networks" (ICML 2017), Eq. 3. NaN without frames.
        """
        places = self._places()
        gaps = [
            abs(self.scores[chosen].mean() - self.in_box[chosen].mean()) * chosen.sum()
            for chosen in (places == place for place in range(BINS))
            if chosen.any()
        ]
        return float(sum(gaps) / len(places)) if len(places) else float("nan")

    def text(self) -> str:
        """Tables by score and by state; the calibration error and the rank correlation."""
        by_state = format_table(
            ("state", "frames", "mean IoU", f"IoU < {MISS}"), self._state_rows()
        )
        return (
            f"{self.reliability_table()}\n\n{by_state}\n\n"
            f"Expected calibration error (target in the box: IoU >= {HIT}): "
            f"{self.expected_error:.3f}\n"
            f"Spearman rank correlation of score with IoU: {self.rank_correlation:.3f}"
        )

    def reliability_table(self) -> str:
        """One line a bin of the score: frames, mean score, share in the box, mean IoU, misses."""
        return format_table(
            ("score", "frames", "mean score", "in the box", "mean IoU", f"IoU < {MISS}"),
            self._score_rows(),
        )

    def _places(self) -> NDArray[np.int64]:
        return np.asarray(np.clip(self.scores * BINS, 0, BINS - 1), dtype=np.int64)

    def _score_rows(self) -> list[tuple[object, ...]]:
        places = self._places()
        rows: list[tuple[object, ...]] = []
        for place in range(BINS):
            chosen = places == place
            if chosen.any():
                name = f"{place / BINS:.1f} to {(place + 1) / BINS:.1f}"
                means = (float(self.scores[chosen].mean()), float(self.in_box[chosen].mean()))
                rows.append((name, int(chosen.sum()), *means, *self._overlap_cells(chosen)))
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
    results: Mapping[str, SequenceResult], sequences: Sequence[AnnotatedClip]
) -> Calibration:
    """Gather scores and overlaps of every frame with a visible target but each first one.

    DatasetError when the results hold no scores (another tracker's files).
    """
    found = gather([(results[s.name], s.truth_xywh, has_area(s.truth_xywh)) for s in sequences])
    if not len(found.scores):
        raise DatasetError("expected results with a score for each frame; there are no scores")
    return found


def gather(
    runs: Sequence[tuple[SequenceResult, FloatArray, NDArray[np.bool_]]],
) -> Calibration:
    """Gather frames with a score, each run's first left out.

    `runs`: results, the true boxes (N, 4) that belong to them, NaN where the target is absent, and
    which frames (N,) to take.
    """
    scores: list[FloatArray] = [np.zeros(0)]
    ious: list[FloatArray] = [np.zeros(0)]
    states: list[str] = []
    for result, truth_xywh, chosen in runs:
        usable = np.isfinite(result.scores) & chosen
        usable[0] = False
        scores.append(result.scores[usable])
        ious.append(np.nan_to_num(overlaps(result.boxes_xywh, truth_xywh))[usable])
        states += [s for s, use in zip(result.states, usable, strict=True) if use]
    return Calibration(np.concatenate(scores), np.concatenate(ious), tuple(states))


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
