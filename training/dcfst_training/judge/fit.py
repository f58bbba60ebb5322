"""Fit the verifier's weights so that the filtered probability means what it says.

The whole filter is fitted, through time: logit p_t = verifier(evidence_t) + carry logit p'_t, with
p' the probability one frame later (`judgement.predicted`). Each run starts at p = 1, as a target
is given; the loss is the cross entropy of p_t against "the find is the target" in every frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcfst_core.tracking.evidence import FEATURES
from dcfst_core.tracking.judgement import predicted
from dcfst_core.tracking.verifier import MOST_ODDS, NOTHING_ODDS, Verifier

# How good a box is says nothing of whose it is, and the second peak's height less than its place
# (`evidence.doubt`): with these in it, the presence was worse on sets left out of the fit.
_NOT_OF_PRESENCE = ("predicted_iou", "box_spread", "size_change", "aspect_change", "rival")

PLAIN = "plain"
"""The kind of a run over a clip as it is."""
HOLDS = 0.5
"""From this IoU with the truth on, a box holds the target: what the score is about."""
PRESENT, ELSEWHERE = 0.25, 0.05
"""From and up to this IoU, a find is the target, however bad its box, and is something else;
between, nobody can tell: what the presence is about."""

# Of what a clip weighs: most targets are in view most of the time.
_PLAIN_SHARE = 2 / 3


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
    doubt: NDArray[np.float64]
    """(T,) log-odds, at most 0, that are not fitted; see `evidence.doubt`."""
    found: NDArray[np.bool_]
    """(T,) whether anything was found within reach."""
    iou: NDArray[np.float64]
    """(T,) of box and truth; 0 where the target is absent, NaN where the truth is not known."""
    visible: NDArray[np.bool_]
    """(T,) whether the target is in view."""

    @property
    def holds(self) -> NDArray[np.float64]:
        """(T,) 1: the box holds the target; 0: not; NaN: not known."""
        return np.where(np.isnan(self.iou), np.nan, (self.iou >= HOLDS).astype(float))

    @property
    def present(self) -> NDArray[np.float64]:
        """(T,) 1: the find is the target; 0: it is not; NaN: not known."""
        unclear = np.isnan(self.iou) | ((self.iou > ELSEWHERE) & (self.iou < PRESENT))
        return np.where(unclear, np.nan, (self.iou >= PRESENT).astype(float))


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
    used = torch.tensor([float(name in use) for name in FEATURES], dtype=torch.float64)
    of_presence = [float(name not in _NOT_OF_PRESENCE) for name in FEATURES]
    allowed = used * torch.tensor(of_presence, dtype=torch.float64)
    weight = torch.zeros(len(FEATURES), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    # A carry above 1 would count what is known already again and again.
    raw_carry = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias, raw_carry], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        odds = (scaled @ (weight * allowed) + bias).clamp(-MOST_ODDS, MOST_ODDS)
        odds = torch.where(batch.found, odds + batch.doubt, NOTHING_ODDS)
        logits = filtered(odds, raw_carry.sigmoid(), hazards)
        loss = (
            _cross_entropy(logits, batch.labels, batch.weight)
            + penalty * (weight * allowed).square().sum()
        )
        loss.backward()
        optimizer.step()
        schedule.step()
    final = (weight * allowed).detach()
    quality_weight, quality_bias = _fit_quality(batch, scaled, used, penalty)
    return Verifier(
        tuple(mean.tolist()),
        tuple(deviation.tolist()),
        tuple(final.tolist()),
        float(bias.detach()),
        float(raw_carry.detach().sigmoid()),
        quality_weight,
        quality_bias,
    )


def _fit_quality(
    batch: _Batch, scaled: Tensor, allowed: Tensor, penalty: float, steps: int = 200
) -> tuple[tuple[float, ...], float]:
    """Weights and bias of: is the box good, given that the find is the target?"""
    weight = torch.zeros(len(FEATURES), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    share = batch.weight * batch.labels * batch.found
    share = share / share.sum().clamp(min=1e-12)
    optimizer = torch.optim.Adam([weight, bias], lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        odds = scaled @ (weight * allowed) + bias
        loss = _cross_entropy(odds, batch.holds, share)
        (loss + penalty * (weight * allowed).square().sum()).backward()
        optimizer.step()
    return tuple((weight * allowed).detach().tolist()), float(bias.detach())


def probabilities(
    verifier: Verifier, run: Run, hazards: Hazards
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Presence and score in each frame (T,) of a run."""
    pairs = [
        verifier.odds(row) if found else (NOTHING_ODDS, NOTHING_ODDS)
        for row, found in zip(run.features.tolist(), run.found, strict=True)
    ]
    odds = torch.tensor(pairs, dtype=torch.float64)
    odds[:, 0] += torch.from_numpy(run.doubt * run.found)
    carry = torch.tensor(verifier.carry, dtype=torch.float64)
    presence = filtered(odds[None, :, 0], carry, hazards)[0].sigmoid()
    return presence.numpy(), (presence * odds[:, 1].sigmoid()).numpy()


def filtered(odds: Tensor, carry: Tensor, hazards: Hazards) -> Tensor:
    """Logits (B, T) of presence from the evidence's log-odds (B, T), starting at p = 1."""
    probability = torch.ones_like(odds[:, 0])
    logits = []
    for step in odds.unbind(dim=1):
        prior = predicted(probability, hazards.vanishing, hazards.returning)
        logits.append(step + carry * prior.clamp(1e-6, 1 - 1e-6).logit())
        probability = logits[-1].sigmoid()
    return torch.stack(logits, dim=1)


def clip_weights(runs: Sequence[Run]) -> list[float]:
    """A weight for each run, so that every clip counts the same, and two thirds of it as it is.

    A clip without absences, or with nothing else, counts for what there is of it.
    """
    counts = Counter((run.clip, run.kind == PLAIN) for run in runs)
    both = {clip: (clip, True) in counts and (clip, False) in counts for clip, _ in counts}
    weights = []
    for run in runs:
        plain = run.kind == PLAIN
        share = _PLAIN_SHARE if plain else 1 - _PLAIN_SHARE
        weights.append((share if both[run.clip] else 1.0) / counts[run.clip, plain])
    return weights


@dataclass(frozen=True)
class _Batch:
    """Runs padded to one length."""

    features: Tensor
    doubt: Tensor
    found: Tensor
    labels: Tensor
    """(B, T) whether the find is the target."""
    holds: Tensor
    """(B, T) whether the box holds it."""
    weight: Tensor
    """(B, T) of each frame; 0 where there is none or its truth is not known."""

    @classmethod
    def of(cls, runs: Sequence[Run], weights: Sequence[float]) -> _Batch:
        length = max(len(run.found) for run in runs)
        features = torch.zeros(len(runs), length, len(FEATURES), dtype=torch.float64)
        found = torch.zeros(len(runs), length, dtype=torch.bool)
        doubt, labels, holds, weight = torch.zeros(4, len(runs), length, dtype=torch.float64)
        for row, (run, share) in enumerate(zip(runs, weights, strict=True)):
            frames = len(run.found)
            known = np.isfinite(run.present)
            features[row, :frames] = torch.from_numpy(run.features)
            doubt[row, :frames] = torch.from_numpy(run.doubt)
            found[row, :frames] = torch.from_numpy(run.found)
            labels[row, :frames] = torch.from_numpy(np.nan_to_num(run.present))
            holds[row, :frames] = torch.from_numpy(np.nan_to_num(run.holds))
            weight[row, :frames] = torch.from_numpy(known * share / max(known.sum(), 1))
        return cls(features, doubt, found, labels, holds, weight / weight.sum())


def _cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(
        logits, labels, weight=weight, reduction="sum"
    )


def _statistics(batch: _Batch) -> tuple[Tensor, Tensor]:
    """Weighted mean and deviation (F,) of the features of what was found."""
    weight = (batch.weight * batch.found)[..., None]
    total = weight.sum().clamp(min=1e-12)
    mean = (batch.features * weight).sum(dim=(0, 1)) / total
    variance = ((batch.features - mean).square() * weight).sum(dim=(0, 1)) / total
    return mean, variance.sqrt().clamp(min=1e-3)
