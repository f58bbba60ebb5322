"""The features that the verifier weighs: one find's evidence, absolute, against the usual, and
against the frames just before.

Some targets are like nothing else and some are not, so heights count relative to what is usual for
the target. And a target changes step by step: what was covered, or left, falls at once. A fall
counts by its factor, so the relative features are logarithms; above the usual is as good as usual.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

from dcfst_core.track import Evidence

# A target's usual values begin at no more than what is typical, and never fall so low that a slow
# drift makes anything usual.
_TYPICAL_PEAK, _LEAST_PEAK = 0.8, 0.25
_TYPICAL_LIKENESS, _LEAST_LIKENESS = 0.9, 0.3
_TYPICAL_COLOURS, _LEAST_COLOURS = 0.95, 0.3
_TYPICAL_FIRST, _TYPICAL_IOU, _LEAST_IOU = 0.9, 0.8, 0.3
_USUAL_RATE, _LATELY_RATE = 0.04, 0.3
# Whatever was known before: what has fallen below this share of the usual is not learned.
_LEARNED_SHARE = 0.6
# Nor what has less than this left of the target as it was given, beside what is usual.
_LEARNED_REST = 0.45
# So far from zero, a cosine says nothing yet.
_COSINE_NOISE = 0.05
# After a doubt, more is asked of the first find that is learned again: it may be a look-alike's.
_PROVEN_SHARE = 0.75
# Shares of the usual likeness of colours: from the first on they say nothing against a find, up to
# the second all that they can say.
_OWN_COLOURS, _OTHER_COLOURS = 0.8, 0.65
# About the logarithm of how much oftener each is so of wrong finds, all features being equal.
_RIVAL_ODDS, _COLOUR_ODDS, _OTHER_ODDS = -2.5, -3.0, -3.0
# The margin of a find is how much more it is like the target than like anything that stood beside
# it. It is doubted below the first one where the target should be, below the second elsewhere, and
# wholly so much lower.
_MARGIN_THERE, _MARGIN_ELSEWHERE, _MARGIN_WIDTH = -0.15, 0.05, 0.25
# A find is not doubted for a rival's place or for its colours alone above the second of these
# margins, and wholly so up to the first.
_RIVALS_MARGIN, _OWN_MARGIN = 0.15, 0.3
# A find this far from where the target should be (see `Evidence.distance`) is elsewhere.
_AWAY = 0.5

FEATURES = (
    "peak",
    "relative_peak",
    "peak_drop",
    "rival",
    "predicted_iou",
    "box_spread",
    "likeness_first",
    "relative_likeness",
    "likeness_drop",
    "distance",
    "size_change",
    "aspect_change",
)


@dataclass(frozen=True)
class Means:
    """Running means of some kinds of evidence."""

    peak: float
    likeness: float
    colours: float = _TYPICAL_COLOURS
    likeness_first: float = _TYPICAL_FIRST
    predicted_iou: float = _TYPICAL_IOU

    @classmethod
    def start(cls, evidence: Evidence) -> Means:
        """Of the first frame that is seen: no more than what is typical."""
        return cls(*map(min, _measured(evidence), astuple(_TYPICAL)))

    def moved(self, evidence: Evidence, rate: float) -> Means:
        """The means after one more frame."""
        pairs = zip(astuple(self), _measured(evidence), strict=True)
        return Means(*(mean + rate * (value - mean) for mean, value in pairs))

    def rest(self, evidence: Evidence) -> float:
        """How much a find has left of the target as it was given, beside what is usual: 1 = all.

        That is its likeness to the first look, and the IoU that the predictor, which was fitted to
        the first frame, sees. What covers the target slowly is like its newest looks, which have
        some of the cover already; these two it takes away.
        """
        usual = max(self.likeness_first, 0.0) + _COSINE_NOISE
        first = (evidence.likeness_first + _COSINE_NOISE) / usual
        iou = _known_iou(evidence) / max(self.predicted_iou, _LEAST_IOU)
        return _clipped(first) * _clipped(iou)


_TYPICAL = Means(_TYPICAL_PEAK, _TYPICAL_LIKENESS)


@dataclass(frozen=True)
class Usual:
    """What a target's evidence is like."""

    sure: Means | None = None
    """Slow means of the frames in which it was surely seen."""
    lately: Means | None = None
    """Fast means of the frames in which it was seen, slow ones after a doubt. They stand still
    while it is in doubt: what has fallen stays fallen until it is as it was."""
    doubted: bool = False
    """Whether nothing was learned since it was last in doubt."""

    @property
    def peak(self) -> float:
        """The height of the peak where it is surely seen."""
        return (self.sure or _TYPICAL).peak

    def allows(self, evidence: Evidence) -> bool:
        """Whether a find is near enough to the usual to be learned."""
        if self.sure is None:
            return True
        share = _PROVEN_SHARE if self.doubted else _LEARNED_SHARE
        return (
            evidence.peak >= share * self.sure.peak
            and evidence.likeness >= share * self.sure.likeness
            and evidence.colour_likeness >= share * self.sure.colours
            and self.sure.rest(evidence) >= _LEARNED_REST
        )

    def after(self, evidence: Evidence, seen: bool, sure: bool) -> Usual:
        """The means after one more find; whether the target was seen in it, and surely so."""
        slow, fast = self.sure, self.lately
        if sure:
            slow = Means.start(evidence) if slow is None else slow.moved(evidence, _USUAL_RATE)
        if fast is None:
            fast = Means.start(evidence)
        elif seen:
            # What was in doubt becomes usual slowly, until it is sure again.
            rate = _USUAL_RATE if self.doubted and not sure else _LATELY_RATE
            fast = fast.moved(evidence, rate)
        return Usual(slow, fast, not seen or (self.doubted and not sure))


def features(evidence: Evidence, usual: Usual) -> tuple[float, ...]:
    """The values of `FEATURES` for one find."""
    slow, fast = usual.sure or _TYPICAL, usual.lately or _TYPICAL
    peak = min(max(evidence.peak, 0.0), 1.5)
    rival = min(max(evidence.second_peak, 0.0) / max(peak, 0.05), 2.0)
    return (
        peak,
        _fall(peak, max(slow.peak, _LEAST_PEAK)),
        _fall(peak, max(fast.peak, _LEAST_PEAK)),
        rival,
        _known_iou(evidence),
        math.log(evidence.box_spread + 0.01),
        evidence.likeness_first,
        _fall(evidence.likeness, max(slow.likeness, _LEAST_LIKENESS)),
        _fall(evidence.likeness, max(fast.likeness, _LEAST_LIKENESS)),
        math.log1p(evidence.distance),
        evidence.size_change,
        evidence.aspect_change,
    )


def doubt(evidence: Evidence, usual: Usual) -> float:
    """Log-odds, at most 0, by which a find is less likely the target, beside its features.

    What is said here is said rarely and decides much, so it is not fitted with the features: a fit
    frame by frame does not see that one frame on something else decides the next ones.
    """
    by_place, by_colours = evidence.rival_nearness, _colour_doubt(evidence, usual)
    by_either = _RIVAL_ODDS * by_place + _COLOUR_ODDS * by_colours
    return _OTHER_ODDS * _other_doubt(evidence) + _unlike(evidence) * by_either


def _unlike(evidence: Evidence) -> float:
    """How far a find is from looking like the target and like nothing else that is known: 0 to 1.

    Rivals and the target pass each other while it is away, and light changes its colours.
    """
    margin = known_margin(evidence.likeness, evidence.rival_likeness)
    return _clipped((_OWN_MARGIN - margin) / (_OWN_MARGIN - _RIVALS_MARGIN))


def _other_doubt(evidence: Evidence) -> float:
    """How surely a find looks like what stood beside the target, and not like it, in [0, 1]."""
    margin = evidence.likeness - evidence.rival_likeness
    least = _MARGIN_THERE + (_MARGIN_ELSEWHERE - _MARGIN_THERE) * elsewhere(evidence.distance)
    return _clipped((least - margin) / _MARGIN_WIDTH)


def known_margin(likeness: float, rival_likeness: float) -> float:
    """How much more a find is like the target than like what is known beside it; 0 if nothing is
    known there."""
    return likeness - rival_likeness if rival_likeness else 0.0


def elsewhere(distance: float) -> float:
    """How surely a find at a distance, as `Evidence.distance`, is not where the target should be,
    in [0, 1]."""
    return 1 - math.exp(-0.5 * (distance / _AWAY) ** 2)


def _colour_doubt(evidence: Evidence, usual: Usual) -> float:
    """How surely a find has not the target's colours, in [0, 1]."""
    slow = usual.sure or _TYPICAL
    share = evidence.colour_likeness / max(slow.colours, _LEAST_COLOURS)
    return _clipped((_OWN_COLOURS - share) / (_OWN_COLOURS - _OTHER_COLOURS))


def _measured(evidence: Evidence) -> tuple[float, ...]:
    """What there are `Means` of, in the order of its fields."""
    return (
        evidence.peak,
        evidence.likeness,
        evidence.colour_likeness,
        evidence.likeness_first,
        _known_iou(evidence),
    )


def _clipped(value: float) -> float:
    """The value, in [0, 1]."""
    return min(max(value, 0.0), 1.0)


def _known_iou(evidence: Evidence) -> float:
    """The predicted IoU; what is common where none is predicted."""
    return 0.7 if math.isnan(evidence.predicted_iou) else evidence.predicted_iou


def _fall(value: float, usual: float) -> float:
    """By how much it has fallen, as a logarithm: 0 where it has not, log(1/10) at most."""
    return math.log(min(max(value / usual, 0.1), 1.0))
