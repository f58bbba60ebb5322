"""What the tracker says of one target in one frame: box, score, state and their reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from dcfst_core.boxes import BoxXYWH

# With all of the second peak, a known look-alike beside the target would leave nothing of a score.
_RIVAL_SHARE = 0.5


class TrackState(str, Enum):
    """Whether a target is followed. IDLE: no target. UNCERTAIN: in doubt, not given up."""

    IDLE = "idle"
    TRACKING = "tracking"
    UNCERTAIN = "uncertain"
    LOST = "lost"


@dataclass(frozen=True)
class Signals:
    """What the network says about one find."""

    peak: float
    """Height of the regressor's peak; 1 = exactly like the remembered target."""
    second_peak: float
    """Greatest score outside of the peak's neighbourhood."""
    predicted_iou: float
    """IoU of the refined box in [0, 1] as the predictor sees it; NaN without refinement."""
    similarity: float = 1.0
    """Greatest cosine to the target's remembered appearances; 1 if none are remembered."""
    likeness: float = 1.0
    """The same relative to what is usual for the target, in [0, 1]."""

    @property
    def score(self) -> float:
        """(Peak - second peak / 2) x predicted IoU x likeness, in [0, 1]; 0 if not finite.

        How far the find stands out from everything else in the region, how well the box fits, and
        how much it looks like what was tracked before.
        """
        return self._score(_RIVAL_SHARE)

    @property
    def distinct_score(self) -> float:
        """The same with all of the second peak taken off: of two alike, neither is the target."""
        return self._score(1.0)

    def _score(self, rival_share: float) -> float:
        score = (self.peak - rival_share * max(self.second_peak, 0.0)) * self.likeness
        if not math.isnan(self.predicted_iou):
            score *= self.predicted_iou
        return min(max(score, 0.0), 1.0) if math.isfinite(score) else 0.0


@dataclass(frozen=True)
class Track:
    """Where a target is in one frame."""

    target_id: str
    box_xywh: BoxXYWH
    """Pixels; while UNCERTAIN or LOST the best guess."""
    score: float
    """Confidence in [0, 1], see `Signals.score`."""
    state: TrackState
    signals: Signals | None = field(default=None, compare=False)
    """What the score was made of; None in the frame in which the target was given."""
