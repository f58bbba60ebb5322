"""One target: what is known of it, and the decision whether it is still seen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from torch import Tensor

from dcfst_core.boxes import BoxXYWH
from dcfst_core.config import TrackerConfig
from dcfst_core.embedding import RegressorKernel
from dcfst_core.memory import SampleMemory


class TrackState(str, Enum):
    """Whether a target is followed. IDLE: no target. UNCERTAIN: not seen now, not given up."""

    IDLE = "idle"
    TRACKING = "tracking"
    UNCERTAIN = "uncertain"
    LOST = "lost"


@dataclass(frozen=True)
class Track:
    """Where a target is in one frame."""

    target_id: str
    box_xywh: BoxXYWH
    """Pixels; while UNCERTAIN or LOST this is the last box in which the target was seen."""
    score: float
    """Height of the regressor's peak in [0, 1]; 1 = exactly like the remembered target."""
    state: TrackState


@dataclass
class Target:
    """Everything the tracker keeps of one target between frames."""

    target_id: str
    box_xywh: BoxXYWH
    memory: SampleMemory
    kernel: RegressorKernel
    modulation: tuple[Tensor, Tensor]
    state: TrackState = TrackState.TRACKING
    score: float = 1.0
    frames_since_update: int = 0
    frames_unseen: int = 0
    frames_reaccepted: int = 0
    next_tile: int = 0
    hard_negative: bool = False

    def judge(self, score: float, config: TrackerConfig) -> bool:
        """Take one frame's peak score, move to the next state, say whether the target is seen.

        Two thresholds, so that a lost target is never silently taken up again: it is lost after
        `lost_after` frames under `target_not_found_threshold`, and followed again only after
        `reaccept_frames` frames in a row above `reaccept_threshold`.
        """
        self.score = min(max(score, 0.0), 1.0)
        if self.state is TrackState.LOST:
            return self._judge_lost(config)
        if score >= config.target_not_found_threshold:
            self.frames_unseen = 0
            self.state = TrackState.TRACKING
            return True
        self.frames_unseen += 1
        lost = self.frames_unseen >= config.lost_after
        self.state = TrackState.LOST if lost else TrackState.UNCERTAIN
        self.frames_reaccepted = 0
        return False

    def _judge_lost(self, config: TrackerConfig) -> bool:
        if self.score < config.reaccept_threshold:
            self.frames_reaccepted = 0
            return False
        self.frames_reaccepted += 1
        if self.frames_reaccepted >= config.reaccept_frames:
            self.state = TrackState.TRACKING
            self.frames_unseen = 0
        # Seen: the box moves to the candidate, so that the next frame is searched around it.
        return True

    @property
    def track(self) -> Track:
        """The public view."""
        return Track(self.target_id, self.box_xywh, self.score, self.state)
