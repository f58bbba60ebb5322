"""What the tracker says of one target in one frame: box, score, state, and the evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from dcfst_core.boxes import BoxXYWH


class TrackState(str, Enum):
    """Whether a target is followed. IDLE: no target. UNCERTAIN: in doubt, not given up."""

    IDLE = "idle"
    TRACKING = "tracking"
    UNCERTAIN = "uncertain"
    LOST = "lost"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against one find; plain numbers, made in `tracking.evidence`."""

    peak: float
    """Height of the regressor's peak; 1 = exactly like the remembered target."""
    second_peak: float
    """Greatest score outside of the peak's neighbourhood."""
    predicted_iou: float
    """IoU of the refined box in [0, 1] as the predictor sees it; NaN without refinement."""
    box_spread: float
    """Spread of the best refined boxes, in box sizes and log sizes; 0 without refinement."""
    likeness_first: float
    """Cosine to the target's look in its first frame; 1 if no looks are remembered."""
    likeness: float
    """Greatest cosine to all verified looks; 1 if none are remembered."""
    distance: float
    """From where the target should be, in target sizes plus twice what it is wont to move in the
    frames since it was seen, as of a random walk: far for a slow target is near for a fast one."""
    size_change: float
    """Absolute change of the log size against the one followed."""
    aspect_change: float
    """Absolute change of the log aspect ratio against the one followed."""
    rival_likeness: float = 0.0
    """Greatest cosine to what answered beside the target; 0 if nothing did."""
    rival_nearness: float = 0.0
    """1 where something stands that looked like the target beside it, 0 far from all of them, and
    where the target itself should be."""
    colour_likeness: float = 1.0
    """Of the colours in the box to the target's, brightness apart; 1: equal, or not compared."""


@dataclass(frozen=True)
class ScoreMap:
    """The regressor's scores around a target: the decision itself, as a picture."""

    scores: NDArray[np.float32]
    """(n, n), rows from top to bottom; 1 = exactly like the remembered target."""
    area_xywh: BoxXYWH
    """What the map covers, image px: sample (0, 0) stands for the first n-th of either side."""


@dataclass(frozen=True)
class Track:
    """Where a target is in one frame."""

    target_id: str
    box_xywh: BoxXYWH
    """Pixels; while UNCERTAIN or LOST the best guess."""
    score: float
    """Probability in [0, 1] that the box holds the target (IoU of at least one half)."""
    state: TrackState
    presence: float = field(default=1.0, compare=False)
    """Probability in [0, 1] that what was found is the target, however good its box: the state
    follows from it by `tracking_threshold` and `lost_threshold`."""
    last_seen_box_xywh: BoxXYWH | None = field(default=None, compare=False)
    """The box of the last frame in which the state was TRACKING, this one included; where the
    camera has moved since, moved on with the scene."""
    evidence: Evidence | None = field(default=None, compare=False)
    """What the score was made of; None in the frame in which the target was given."""
    score_map: ScoreMap | None = field(default=None, compare=False, repr=False)
    """On request only, see `Tracker.keep_score_maps`."""
    followed: bool = field(default=True, compare=False)
    """Whether the box is where something was found in this frame. If not it stayed, and moved on
    with the scene at most."""
