"""What a fitted verifier is worth: on sets left out of the fit, and signal by signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcfst_core.evaluation.tables import format_table
from dcfst_core.tracking.evidence import FEATURES
from dcfst_core.tracking.verifier import Verifier
from dcfst_training.judge.fit import Hazards, Run, clip_weights, fit, probabilities

Array = NDArray[np.float64]
BINS = 10


@dataclass(frozen=True)
class Judged:
    """Frames with known truth: what was said, what was true, and what each weighs."""

    presence: Array
    score: Array
    holds: Array
    """1: the box holds the target; 0: not."""
    weight: Array
    absent: NDArray[np.bool_]

    @property
    def log_loss(self) -> float:
        """Mean cross entropy of the score."""
        p = np.clip(self.score, 1e-6, 1 - 1e-6)
        loss = -(self.holds * np.log(p) + (1 - self.holds) * np.log(1 - p))
        return float(np.average(loss, weights=self.weight))

    @property
    def calibration_error(self) -> float:
        """Expected calibration error over `BINS` equal bins, frames weighted."""
        return float(sum(w * abs(said - true) for said, true, w in self.reliability()))

    def reliability(self) -> list[tuple[float, float, float]]:
        """(mean score, share of frames that hold the target, weight) of each bin in use."""
        bins = np.minimum((self.score * BINS).astype(int), BINS - 1)
        rows = []
        for index in range(BINS):
            chosen = bins == index
            weight = self.weight[chosen].sum()
            if weight > 0:
                said, true = (
                    float(np.average(values[chosen], weights=self.weight[chosen]))
                    for values in (self.score, self.holds)
                )
                rows.append((said, true, float(weight / self.weight.sum())))
        return rows

    def told_wrong(self, threshold: float) -> tuple[float, float]:
        """Shares of frames that hold the target with a presence below, of absent ones above."""
        held = self.holds == 1
        return (
            self._share(held, self.presence < threshold),
            self._share(self.absent, self.presence >= threshold),
        )

    def _share(self, among: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
        weight = self.weight[among]
        return float(weight @ said[among] / weight.sum()) if weight.any() else float("nan")


def judged(runs: Sequence[Run], values: Sequence[tuple[Array, Array]]) -> Judged:
    """All frames of some runs with presence and score, each clip with the same weight."""
    parts = []
    for run, (presence, score), share in zip(runs, values, clip_weights(runs), strict=True):
        known = np.isfinite(run.iou)
        weight = np.full(known.sum(), share / max(known.sum(), 1))
        rows = (presence[known], score[known], run.holds[known], weight, ~run.visible[known])
        parts.append(rows)
    return Judged(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def cross_validate(
    runs: Sequence[Run], hazards: Hazards, use: Sequence[str] = FEATURES, steps: int = 300
) -> Judged:
    """Judge each set by a verifier that was fitted without it."""
    values = [(np.empty(0), np.empty(0))] * len(runs)
    for group in sorted({run.group for run in runs}):
        others = [run for run in runs if run.group != group]
        verifier = fit(others, hazards, steps=steps, use=use)
        for index, run in enumerate(runs):
            if run.group == group:
                values[index] = probabilities(verifier, run, hazards)
    return judged(runs, values)


def weights_table(verifier: Verifier, without: dict[str, Judged], full: Judged) -> str:
    """The weights, and what each signal is worth on sets left out of the fit."""
    none = float("nan")
    rows: list[tuple[str | float, ...]] = []
    for index, name in enumerate(FEATURES):
        left = without.get(name)
        gain = none if left is None else 1000 * (left.log_loss - full.log_loss)
        columns = (verifier.mean, verifier.deviation, verifier.weight, verifier.quality_weight)
        rows.append((name, *(column[index] for column in columns), gain))
    rows.append(("bias", none, none, verifier.bias, verifier.quality_bias, none))
    rows.append(("carry", none, none, verifier.carry, none, none))
    head = ("feature", "mean", "deviation", "presence", "quality", "loss without it, x 1000")
    return format_table(head, rows)


def draw_reliability(found: Judged, path: Path) -> None:
    """Write the reliability diagram as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = np.array(found.reliability())
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(4.5, 5.5), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    upper.plot([0, 1], [0, 1], color="0.7", lw=1)
    upper.plot(rows[:, 0], rows[:, 1], "o-")
    upper.set_ylabel("frames whose box holds the target")
    upper.set_title(
        f"on sets left out of the fit; calibration error {found.calibration_error:.3f}"
    )
    lower.bar(rows[:, 0], rows[:, 2], width=0.06)
    lower.set_xlabel("score")
    lower.set_ylabel("share of frames")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
