"""Is what was found the target? A verifier weighs the evidence, a Bayes filter remembers.

What the verifier makes of the evidence is the new part of the log-odds that the find is the
target; the other part are the log-odds of the frame before, passed through a chain of two states,
present and absent, with two hazards:

    p' = (1 - vanishing) p + returning (1 - p)
    logit p_t = verifier(evidence_t) + carry logit p'

(a `carry` of 1 is Bayes' rule for independent frames; successive frames are not, and the fit finds
how much they are worth). State and permissions follow from the presence p by three thresholds;
what is learned must also be as usual by itself, whatever was known. The verifier also says how
likely the box is a good one if the find is the target; the score is the product: the probability
that the box holds the target (IoU of at least one half).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dcfst_core.track import Evidence, TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.evidence import Usual, doubt, features
from dcfst_core.tracking.verifier import NOTHING_ODDS, Verifier

# Log-odds above which the box goes where the find is. In doubt that costs nothing: the box of a
# target that is lost after all goes back to where it was last seen. A lost one's goes on to what
# may well be it, so that the next frame looks closer there and not only where it was.
_FOLLOWED_ODDS = {
    TrackState.TRACKING: -math.inf,
    TrackState.UNCERTAIN: -4.0,
    TrackState.LOST: -1.5,
}
# Presence from which a target is taken for found though little but what is weighed speaks for it:
# an awaited one, or a lost one whose find is not as usual, or doubted by more than these log-odds.
_FOUND_THRESHOLD, _DOUBTED_ODDS = 0.8, -0.5


@dataclass(frozen=True)
class Belief:
    """What is believed of a target after a frame."""

    state: TrackState = TrackState.TRACKING
    presence: float = 1.0
    """Probability that what was found is the target."""
    score: float = 1.0
    """Probability that the box holds it, see `Track.score`."""
    doubted: int = 0
    """Frames since it was last seen."""
    usual: Usual = field(default_factory=Usual)
    """What the evidence of the surely seen target is like."""
    awaited: bool = False
    """Of another run, and not seen in this one yet: nothing tells where it should be, or that it
    is there at all."""


class Choice(NamedTuple):
    """One of a frame's finds, as weighed."""

    place: int
    """Its index."""
    evidence: Evidence
    odds: float
    """Log-odds that it is the target, by this frame alone."""
    quality: float
    """Log-odds that its box is good if it is."""


@dataclass(frozen=True)
class Verdict:
    """What follows from one frame's evidence."""

    belief: Belief
    follow: bool
    """Whether the box is to go where the find is."""
    may_learn: bool
    """Whether model and looks may learn from this frame."""


def choose(candidates: Sequence[Evidence], belief: Belief, verifier: Verifier) -> Choice | None:
    """The find that is most likely the target, as weighed; None where there is none."""
    choices = []
    for place, evidence in enumerate(candidates):
        odds, quality = verifier.odds(features(evidence, belief.usual))
        odds += doubt(evidence, belief.usual)
        choices.append(Choice(place, evidence, odds, quality))
    return max(choices, key=lambda choice: choice.odds, default=None)


def judge(
    before: Belief, choice: Choice | None, verifier: Verifier, config: TrackerConfig
) -> Verdict:
    """What follows from one frame's choice (None: nothing was found where the target can be).

    Pure: what it returns depends on nothing but its arguments.
    """
    evidence = None if choice is None else choice.evidence
    if not config.judgement:
        score = 0.0 if evidence is None else plain_score(evidence)
        belief = Belief(TrackState.TRACKING, score, score, 0, before.usual)
        return Verdict(belief, evidence is not None, True)
    odds, quality = (NOTHING_ODDS,) * 2 if choice is None else (choice.odds, choice.quality)
    prior = predicted(before.presence, config.vanishing, config.returning)
    presence = _sigmoid(odds + verifier.carry * _logit(prior))
    enough = config.tracking_threshold
    if before.awaited or (before.state is TrackState.LOST and _is_odd(evidence, before.usual)):
        enough = max(enough, _FOUND_THRESHOLD)
    seen = presence >= enough
    doubted = 0 if seen else before.doubted + 1
    state = _next_state(before.state, presence, seen, doubted, config)
    sure = evidence is not None and may_learn(state, presence, evidence, before.usual, config)
    usual = before.usual
    if evidence is not None:
        usual = usual.after(evidence, state is TrackState.TRACKING, sure)
    follow = evidence is not None and odds > _FOLLOWED_ODDS[state]
    score = presence * _sigmoid(quality)
    awaited = before.awaited and not seen
    return Verdict(Belief(state, presence, score, doubted, usual, awaited), follow, sure)


def _is_odd(evidence: Evidence | None, usual: Usual) -> bool:
    """Whether a find is not quite what the target is like: it may be something else."""
    if evidence is None or not usual.allows(evidence):
        return True
    return doubt(evidence, usual) < _DOUBTED_ODDS


def may_learn(
    state: TrackState, presence: float, evidence: Evidence, usual: Usual, config: TrackerConfig
) -> bool:
    """Whether a find is the target for sure, also by itself: `usual` is what it was before."""
    return _beyond_doubt(state, presence, config) and usual.allows(evidence)


def is_sure(belief: Belief, config: TrackerConfig) -> bool:
    """Whether the target was seen beyond doubt: its place counts, and what stands beside it."""
    return not config.judgement or _beyond_doubt(belief.state, belief.presence, config)


def _beyond_doubt(state: TrackState, presence: float, config: TrackerConfig) -> bool:
    return state is TrackState.TRACKING and presence >= config.learning_threshold


def predicted(probability: float, vanishing: float, returning: float) -> float:
    """The probability of presence one frame later, before that frame is seen."""
    return (1 - vanishing) * probability + returning * (1 - probability)


def plain_score(evidence: Evidence) -> float:
    """Peak times predicted IoU, in [0, 1]: the score of a tracker that does not judge."""
    score = evidence.peak
    if not math.isnan(evidence.predicted_iou):
        score *= evidence.predicted_iou
    return min(max(score, 0.0), 1.0) if math.isfinite(score) else 0.0


def _next_state(
    before: TrackState, presence: float, seen: bool, doubted: int, config: TrackerConfig
) -> TrackState:
    if seen:
        return TrackState.TRACKING
    given_up = presence < config.lost_threshold and doubted >= config.lost_after
    return TrackState.LOST if before is TrackState.LOST or given_up else TrackState.UNCERTAIN


def _sigmoid(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


def _logit(probability: float) -> float:
    probability = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(probability / (1 - probability))
