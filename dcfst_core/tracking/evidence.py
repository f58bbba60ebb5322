"""The features that the verifier weighs: one find's evidence, absolute, against the usual, and
against the frames just before.

Some targets are like nothing else and some are not, so heights count relative to what is usual for
the target. And a target changes step by step: what was covered, or left, drops at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dcfst_core.track import Evidence

# A target's usual values begin at no more than what is typical, and never fall so low that a slow
# drift makes anything usual.
_TYPICAL_PEAK, _LEAST_PEAK = 0.8, 0.25
_TYPICAL_LIKENESS, _LEAST_LIKENESS = 0.9, 0.3
_USUAL_RATE, _LATELY_RATE = 0.04, 0.3

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
    "peak_x_likeness",
)


@dataclass(frozen=True)
class Means:
    """Running means of two kinds of evidence."""

    peak: float
    likeness: float

    @classmethod
    def start(cls, evidence: Evidence) -> Means:
        """Of the first frame that is seen: no more than what is typical."""
        return cls(min(evidence.peak, _TYPICAL_PEAK), min(evidence.likeness, _TYPICAL_LIKENESS))

    def moved(self, evidence: Evidence, rate: float) -> Means:
        """The means after one more frame."""
        return Means(
            self.peak + rate * (evidence.peak - self.peak),
            self.likeness + rate * (evidence.likeness - self.likeness),
        )


_TYPICAL = Means(_TYPICAL_PEAK, _TYPICAL_LIKENESS)


@dataclass(frozen=True)
class Usual:
    """What a target's evidence is like."""

    sure: Means | None = None
    """Slow means of the frames in which it was surely seen."""
    lately: Means | None = None
    """Fast means of all frames in which something was found."""

    def after(self, evidence: Evidence, sure: bool) -> Usual:
        """The means after one more find; `sure`: whether the target was surely seen."""
        slow, fast = self.sure, self.lately
        if sure:
            slow = Means.start(evidence) if slow is None else slow.moved(evidence, _USUAL_RATE)
        if fast is None:
            return Usual(slow, Means.start(evidence))
        return Usual(slow, fast.moved(evidence, _LATELY_RATE))


def features(evidence: Evidence, usual: Usual) -> tuple[float, ...]:
    """The values of `FEATURES` for one find."""
    slow, fast = usual.sure or _TYPICAL, usual.lately or _TYPICAL
    peak = min(max(evidence.peak, 0.0), 1.5)
    rival = min(max(evidence.second_peak, 0.0) / max(peak, 0.05), 2.0)
    iou = 0.7 if math.isnan(evidence.predicted_iou) else evidence.predicted_iou
    relative_likeness = evidence.likeness / max(slow.likeness, _LEAST_LIKENESS)
    return (
        peak,
        peak / max(slow.peak, _LEAST_PEAK),
        peak / max(fast.peak, _LEAST_PEAK),
        rival,
        iou,
        math.log(evidence.box_spread + 0.01),
        evidence.likeness_first,
        relative_likeness,
        evidence.likeness / max(fast.likeness, _LEAST_LIKENESS),
        math.log1p(evidence.distance),
        evidence.size_change,
        evidence.aspect_change,
        peak * relative_likeness,
    )
