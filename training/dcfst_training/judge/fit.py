"""Fit the verifier's weights so that the filtered probability means what it says.

The whole filter is fitted, through time: logit p_t = verifier(evidence_t) + carry logit p'_t, with
p' the probability one frame later (`judgement.predicted`). Each run starts at p = 1, as a target
is given; the loss is the cross entropy of p_t against "the box holds the target" in every frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcfst_core.tracking.evidence import FEATURES
from dcfst_core.tracking.judgement import MOST_ODDS, NOTHING_ODDS, Verifier

MIN_IOU = 0.5
"""From this overlap with the truth on, a box holds the target."""


@dataclass(frozen=True)
class Run:
    """What the tracker said in the frames of one case, and what was true."""

    clip: str
    """The clip that the case was made from: its runs share one weight."""
    group: str
    """The set of the clip: left out as a whole in cross-validation."""
    kind: str
    """The kind of absence, or `plain`."""
    features: NDArray[np.float64]
    """(T, F), see `evidence.FEATURES`; zero where nothing was found."""
    found: NDArray[np.bool_]
    """(T,) whether anything was found within reach."""
    iou: NDArray[np.float64]
    """(T,) of box and truth; 0 where the target is absent, NaN where the truth is not known."""
    visible: NDArray[np.bool_]
    """(T,) whether the target is in view."""

    @property
    def labels(self) -> NDArray[np.float64]:
        """(T,) 1: the box holds the target; 0: not; NaN: not known."""
        return np.where(np.isnan(self.iou), np.nan, (self.iou >= MIN_IOU).astype(float))


@dataclass(frozen=True)
class Hazards:
    """The filter's two settings, see `TrackerConfig.vanishing` and `returning`."""

    vanishing: float
    returning: float


def fit(
    runs: Sequence[Run],
    hazards: Hazards,
    weights: Sequence[float] | None = None,
    penalty: float = 0.003,
    steps: int = 300,
    use: Sequence[str] = FEATURES,
) -> Verifier:
    """The verifier that fits some runs best.

    `weights`: of each run; None gives every clip the same. `penalty`: of the squared weights.
    `use`: features that may have a weight.
    """
    batch = _Batch.of(runs, clip_weights(runs) if weights is None else weights)
    mean, deviation = _statistics(batch)
    scaled = ((batch.features - mean) / deviation).clamp(-4, 4)
    allowed = torch.tensor([float(name in use) for name in FEATURES], dtype=torch.float64)
    weight = torch.zeros(len(FEATURES), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    # A carry above 1 would count what is known already again and again.
    raw_carry = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias, raw_carry], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        odds = (scaled @ (weight * allowed) + bias).clamp(-MOST_ODDS, MOST_ODDS)
        odds = torch.where(batch.found, odds, NOTHING_ODDS)
        logits = filtered(odds, raw_carry.sigmoid(), hazards)
        loss = batch.loss(logits) + penalty * (weight * allowed).square().sum()
        loss.backward()
        optimizer.step()
        schedule.step()
    final = (weight * allowed).detach()
    return Verifier(
        tuple(mean.tolist()),
        tuple(deviation.tolist()),
        tuple(final.tolist()),
        float(bias.detach()),
        float(raw_carry.detach().sigmoid()),
    )


def probabilities(verifier: Verifier, run: Run, hazards: Hazards) -> NDArray[np.float64]:
    """The filter's probability in each frame (T,) of a run."""
    mean, deviation, weight = (
        np.array(row) for row in (verifier.mean, verifier.deviation, verifier.weight)
    )
    odds = np.clip((run.features - mean) / deviation, -4, 4) @ weight + verifier.bias
    odds = np.where(run.found, np.clip(odds, -MOST_ODDS, MOST_ODDS), NOTHING_ODDS)
    carry = torch.tensor(verifier.carry, dtype=torch.float64)
    logits = filtered(torch.from_numpy(odds)[None], carry, hazards)[0]
    return np.asarray(logits.sigmoid().numpy())


def filtered(odds: Tensor, carry: Tensor, hazards: Hazards) -> Tensor:
    """Logits (B, T) of presence from the evidence's log-odds (B, T), starting at p = 1."""
    probability = torch.ones_like(odds[:, 0])
    logits = []
    for step in odds.unbind(dim=1):
        prior = (1 - hazards.vanishing) * probability + hazards.returning * (1 - probability)
        logits.append(step + carry * prior.clamp(1e-6, 1 - 1e-6).logit())
        probability = logits[-1].sigmoid()
    return torch.stack(logits, dim=1)


def clip_weights(runs: Sequence[Run]) -> list[float]:
    """A weight for each run, so that every clip counts the same, and in it every kind."""
    kinds: dict[str, set[str]] = {}
    counts: dict[tuple[str, str], int] = {}
    for run in runs:
        kinds.setdefault(run.clip, set()).add(run.kind)
        counts[run.clip, run.kind] = counts.get((run.clip, run.kind), 0) + 1
    return [1 / len(kinds[run.clip]) / counts[run.clip, run.kind] for run in runs]


@dataclass(frozen=True)
class _Batch:
    """Runs padded to one length."""

    features: Tensor
    found: Tensor
    labels: Tensor
    weight: Tensor
    """(B, T) of each frame; 0 where there is none or its truth is not known."""

    @classmethod
    def of(cls, runs: Sequence[Run], weights: Sequence[float]) -> _Batch:
        length = max(len(run.found) for run in runs)
        features = torch.zeros(len(runs), length, len(FEATURES), dtype=torch.float64)
        found = torch.zeros(len(runs), length, dtype=torch.bool)
        labels, weight = torch.zeros(2, len(runs), length, dtype=torch.float64)
        for row, (run, share) in enumerate(zip(runs, weights, strict=True)):
            frames = len(run.found)
            known = np.isfinite(run.iou)
            features[row, :frames] = torch.from_numpy(run.features)
            found[row, :frames] = torch.from_numpy(run.found)
            labels[row, :frames] = torch.from_numpy(np.nan_to_num(run.labels))
            weight[row, :frames] = torch.from_numpy(known * share / max(known.sum(), 1))
        return cls(features, found, labels, weight / weight.sum())

    def loss(self, logits: Tensor) -> Tensor:
        """The weighted cross entropy."""
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, self.labels, weight=self.weight, reduction="sum"
        )
        return loss


def _statistics(batch: _Batch) -> tuple[Tensor, Tensor]:
    """Weighted mean and deviation (F,) of the features of what was found."""
    weight = (batch.weight * batch.found)[..., None]
    total = weight.sum()
    mean = (batch.features * weight).sum(dim=(0, 1)) / total
    variance = ((batch.features - mean).square() * weight).sum(dim=(0, 1)) / total
    return mean, variance.sqrt().clamp(min=1e-3)
