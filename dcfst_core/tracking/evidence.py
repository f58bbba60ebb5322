"""The features that the verifier weighs: one find's evidence, absolute and against the usual."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dcfst_core.track import Evidence

# A target's usual values begin at no more than what is typical, and never fall so low that a slow
# drift makes anything usual.
_TYPICAL_PEAK, _LEAST_PEAK = 0.8, 0.25
_TYPICAL_LIKENESS, _LEAST_LIKENESS = 0.9, 0.3
_RATE = 0.04

FEATURES = (
    "peak",
    "relative_peak",
    "rival",
    "sharpness",
    "predicted_iou",
    "box_spread",
    "likeness_first",
    "relative_likeness",
    "novelty",
    "distance",
    "size_change",
    "aspect_change",
    "peak_x_likeness",
)


@dataclass(frozen=True)
class Usual:
    """Means of the surely seen target's evidence: some targets are like nothing else, some not."""

    peak: float | None = None
    likeness: float | None = None

    def with_seen(self, evidence: Evidence) -> Usual:
        """The means after one more frame in which the target was surely seen."""
        if self.peak is None or self.likeness is None:
            return Usual(
                min(evidence.peak, _TYPICAL_PEAK), min(evidence.likeness, _TYPICAL_LIKENESS)
            )
        return replace(
            self,
            peak=self.peak + _RATE * (evidence.peak - self.peak),
            likeness=self.likeness + _RATE * (evidence.likeness - self.likeness),
        )

    def relative_peak(self, peak: float) -> float:
        """A peak's height over the usual one."""
        return peak / max(_TYPICAL_PEAK if self.peak is None else self.peak, _LEAST_PEAK)

    def relative_likeness(self, likeness: float) -> float:
        """A likeness over the usual one."""
        usual = _TYPICAL_LIKENESS if self.likeness is None else self.likeness
        return likeness / max(usual, _LEAST_LIKENESS)


def features(evidence: Evidence, usual: Usual) -> tuple[float, ...]:
    """The values of `FEATURES` for one find."""
    peak = min(max(evidence.peak, 0.0), 1.5)
    rival = min(max(evidence.second_peak, 0.0) / max(peak, 0.05), 2.0)
    iou = 0.7 if math.isnan(evidence.predicted_iou) else evidence.predicted_iou
    relative_likeness = usual.relative_likeness(evidence.likeness)
    return (
        peak,
        usual.relative_peak(peak),
        rival,
        evidence.sharpness,
        iou,
        math.log(evidence.box_spread + 0.01),
        evidence.likeness_first,
        relative_likeness,
        evidence.novelty,
        math.log1p(evidence.distance),
        evidence.size_change,
        evidence.aspect_change,
        peak * relative_likeness,
    )
