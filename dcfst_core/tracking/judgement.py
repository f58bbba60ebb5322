"""Is what was found the target? A verifier weighs the evidence, a Bayes filter remembers.

The verifier is a logistic regression: evidence in, log-odds out. They are the new part of the
log-odds that the target is in the box; the other part are the log-odds of the frame before, passed
through a chain of two states, present and absent, with two hazards:

    p' = (1 - vanishing) p + returning (1 - p)
    logit p_t = verifier(evidence_t) + carry logit p'

(a `carry` of 1 is Bayes' rule for independent frames; successive frames are not, and the fit finds
how much they are worth). Weights, carry and scales are fitted by `dcfst-train judge` and come with
the network's weights. State and permissions follow from p by three thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dcfst_core.errors import CheckpointError
from dcfst_core.track import Evidence, TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.evidence import FEATURES, Usual, features

# No find says more than this, and no memory: e^-6 is one in 400.
MOST_ODDS = 6.0
# What it says that nothing was found where the target can be.
NOTHING_ODDS = -3.0


@dataclass(frozen=True)
class Verifier:
    """The fitted weights; `FEATURES` names what they weigh.

    odds = bias + sum weight * clip((feature - mean) / deviation, -4, 4)
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    weight: tuple[float, ...]
    bias: float
    carry: float

    def odds(self, evidence: Evidence, usual: Usual) -> float:
        """Log-odds that this find is the target, before what was known of it."""
        total = self.bias
        for value, mean, deviation, weight in zip(
            features(evidence, usual), self.mean, self.deviation, self.weight, strict=True
        ):
            total += weight * min(max((value - mean) / deviation, -4.0), 4.0)
        # Numbers that are none, of a damaged model, are no evidence for anything.
        return min(max(total, -MOST_ODDS), MOST_ODDS) if math.isfinite(total) else NOTHING_ODDS

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Verifier:
        """The verifier in a checkpoint's metadata; `PLAIN_VERIFIER` where there is none.

        Raises CheckpointError for one that does not fit `FEATURES`.
        """
        given = metadata.get("verifier")
        if given is None:
            return PLAIN_VERIFIER
        try:
            if tuple(given["features"]) != FEATURES:
                raise ValueError(f"features {given['features']}")
            rows = {
                name: tuple(float(value) for value in given[name])
                for name in ("mean", "deviation", "weight")
            }
            made = cls(**rows, bias=float(given["bias"]), carry=float(given["carry"]))
            numbers = [*made.mean, *made.deviation, *made.weight, made.bias, made.carry]
            if {len(row) for row in rows.values()} != {len(FEATURES)}:
                raise ValueError("rows of another length")
            if not all(map(math.isfinite, numbers)) or min(made.deviation) <= 0:
                raise ValueError(
                    "numbers that are not finite, or deviations that are not positive"
                )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"expected a verifier of {len(FEATURES)} features in the weights' metadata; got "
                f"{error}: fit it again for this version with `dcfst-train judge`"
            ) from error
        return made

    def to_metadata(self) -> dict[str, Any]:
        """Plain values, as `from_metadata` reads them."""
        return {
            "features": list(FEATURES),
            "mean": list(self.mean),
            "deviation": list(self.deviation),
            "weight": list(self.weight),
            "bias": self.bias,
            "carry": self.carry,
        }


def _plain_verifier() -> Verifier:
    """Peak, rival and predicted IoU by hand: for weights without a fitted verifier."""
    weights = {"peak": 1.0, "rival": -0.7, "predicted_iou": 0.7}
    means = {"peak": 0.3, "rival": 0.5, "predicted_iou": 0.55}
    return Verifier(
        mean=tuple(means.get(name, 0.0) for name in FEATURES),
        deviation=tuple(0.2 if name in weights else 1.0 for name in FEATURES),
        weight=tuple(weights.get(name, 0.0) for name in FEATURES),
        bias=1.0,
        carry=0.5,
    )


PLAIN_VERIFIER = _plain_verifier()


@dataclass(frozen=True)
class Belief:
    """What is believed of a target after a frame."""

    state: TrackState = TrackState.TRACKING
    probability: float = 1.0
    """That the box holds the target."""
    usual: Usual = field(default_factory=Usual)
    """What the evidence of the surely seen target is like."""


@dataclass(frozen=True)
class Verdict:
    """What follows from one frame's evidence."""

    belief: Belief
    follow: bool
    """Whether the box is to go where the find is."""
    may_learn: bool
    """Whether model and looks may learn from this frame."""


def judge(
    before: Belief, evidence: Evidence | None, verifier: Verifier, config: TrackerConfig
) -> Verdict:
    """Weigh one frame's evidence (None: nothing was found where the target can be).

    Pure: what it returns depends on nothing but its arguments.
    """
    if not config.judgement:
        score = 0.0 if evidence is None else plain_score(evidence)
        belief = Belief(TrackState.TRACKING, score, before.usual)
        return Verdict(belief, evidence is not None, True)
    odds = NOTHING_ODDS if evidence is None else verifier.odds(evidence, before.usual)
    prior = predicted(before.probability, config.vanishing, config.returning)
    probability = _sigmoid(odds + verifier.carry * _logit(prior))
    state = _next_state(before.state, probability, config)
    sure = state is TrackState.TRACKING and probability >= config.learning_threshold
    usual = before.usual
    if sure and evidence is not None:
        usual = usual.with_seen(evidence)
    # A lost target's region moves on to a likely find, so that the next frame looks closer at it.
    follow = evidence is not None and (state is TrackState.TRACKING or odds > 0)
    return Verdict(Belief(state, probability, usual), follow, sure)


def predicted(probability: float, vanishing: float, returning: float) -> float:
    """The probability of presence one frame later, before that frame is seen."""
    return (1 - vanishing) * probability + returning * (1 - probability)


def plain_score(evidence: Evidence) -> float:
    """Peak times predicted IoU, in [0, 1]: the score of a tracker that does not judge."""
    score = evidence.peak
    if not math.isnan(evidence.predicted_iou):
        score *= evidence.predicted_iou
    return min(max(score, 0.0), 1.0) if math.isfinite(score) else 0.0


def _next_state(before: TrackState, probability: float, config: TrackerConfig) -> TrackState:
    if probability >= config.tracking_threshold:
        return TrackState.TRACKING
    if before is TrackState.LOST or probability < config.lost_threshold:
        return TrackState.LOST
    return TrackState.UNCERTAIN


def _sigmoid(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


def _logit(probability: float) -> float:
    probability = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(probability / (1 - probability))
