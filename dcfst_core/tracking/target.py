"""One target: what is known of it, and the decision whether it is still seen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from dcfst_core.boxes import BoxXYWH, centre_distance
from dcfst_core.network.embedding import RegressorKernel
from dcfst_core.track import Signals, Track, TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.looks import Appearances
from dcfst_core.tracking.memory import SampleMemory
from dcfst_core.tracking.motion import Motion

# What may count as a usual score: at first no more than the median over the development sequences,
# and never so little that a slow drift makes anything usual.
_MEDIAN_PEAK, _MEDIAN_IOU = 0.8, 0.85
_LEAST_USUAL = 0.3
_USUAL_RATE = 0.04
_SURE_LIKENESS = 0.85
# A score that is less than this part of the frame's before, with a likeness that is so much less,
# has not faded but fallen.
_FALL, _LIKENESS_FALL = 0.5, 0.2
# A find far away has to prove itself for up to so many times the frames of one that is where the
# target should be.
_MOST_PATIENCE = 3.5


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
    signals: Signals | None = None
    usual_score: float | None = None
    frames_since_update: int = 0
    frames_unseen: int = 0
    frames_reaccepted: int = 0
    next_tile: int = 0
    frames_to_prove: int = 0
    """What is found after a doubt is followed for so many frames before it is learned."""
    urgent: bool = False
    last_seen: tuple[float, float] = (1.0, 1.0)
    """Share of the usual score, and likeness, in the frame before."""
    has_fallen: bool = False
    appearances: Appearances | None = None
    motion: Motion = field(init=False)

    def __post_init__(self) -> None:
        self.motion = Motion.start(self.box_xywh)

    def reach(self, config: TrackerConfig) -> float:
        """Pixels from where it is expected within which it is looked for.

        No limit while it is tracked, or while a candidate is verified: that moves on.
        """
        if self.state is TrackState.TRACKING or self.frames_reaccepted > 0:
            return math.inf
        return self.motion.reach(config.reach)

    def judge(
        self, signals: Signals, config: TrackerConfig, box_xywh: BoxXYWH | None = None
    ) -> bool:
        """Take one frame's signals, move to the next state, say whether the box is to follow.

        A score counts relative to the target's usual one: some targets are like nothing else and
        some are not. Under `uncertain_threshold` the box still follows, but nothing is learned;
        under `target_not_found_threshold` it stays where it is. After a sudden fall it is in doubt
        under `fading_threshold` already. After `lost_after` frames in doubt in
        a row the target is lost, and counts as found again only after `reaccept_frames` frames in
        a row above the higher `reaccept_threshold` and `reaccept_likeness`, never silently at the
        first likeness, and the later the farther it is from where it was expected. `box_xywh`:
        what was found; None is the last box again.
        """
        self.signals, self.score = signals, signals.score
        if self.usual_score is None:
            refined = not math.isnan(signals.predicted_iou)
            self.usual_score = min(self.score, _MEDIAN_PEAK * (_MEDIAN_IOU if refined else 1.0))
        share = self._share(self.score)
        if self.state is TrackState.LOST:
            return self._judge_lost(signals, share, config, box_xywh or self.box_xywh)
        self._note_fall(share, signals.likeness, config)
        needed = config.fading_threshold if self.has_fallen else config.uncertain_threshold
        if share >= needed:
            self.frames_unseen = 0
            self.state = TrackState.TRACKING
            return True
        self.frames_unseen += 1
        self.frames_to_prove = config.reaccept_frames
        lost = self.frames_unseen >= config.lost_after
        self.state = TrackState.LOST if lost else TrackState.UNCERTAIN
        self.frames_reaccepted = 0
        return share >= config.target_not_found_threshold

    def needs_update(self, config: TrackerConfig) -> bool:
        """Whether the model is to learn from this frame, in which the target was tracked.

        Urgent are a hard negative, and a score that fades: a target that turns or deforms is
        learned in time, before it is in doubt.
        """
        assert self.signals is not None
        self.frames_since_update += 1
        if self.frames_to_prove > 0:
            self.frames_to_prove -= 1
            return False
        limit = config.hard_negative_threshold
        rival = limit < 1 and self.signals.second_peak > limit * self.signals.peak
        self.urgent = rival or self._share(self.score) < config.fading_threshold
        return self.urgent or self.frames_since_update >= config.update_interval

    def _note_fall(self, share: float, likeness: float, config: TrackerConfig) -> None:
        """Tell a score that falls from one frame to the next from one that fades.

        A target changes step by step; what falls was covered, or the scene was cut, and is in
        doubt until the score is above `fading_threshold` again.
        """
        last_share, last_likeness = self.last_seen
        fell = share < _FALL * last_share and likeness < last_likeness - _LIKENESS_FALL
        self.has_fallen = share < config.fading_threshold and (self.has_fallen or fell)
        self.last_seen = (share, likeness)

    def _share(self, score: float) -> float:
        """A score relative to the target's usual one."""
        assert self.usual_score is not None, "judge() sets it first"
        return score / max(self.usual_score, _LEAST_USUAL)

    def _judge_lost(
        self, signals: Signals, share: float, config: TrackerConfig, box_xywh: BoxXYWH
    ) -> bool:
        likeness = signals.likeness
        # Next to a rival, only its own look tells the target.
        sure = likeness >= _SURE_LIKENESS
        evidence = share if sure else self._share(signals.distinct_score)
        good = likeness >= config.reaccept_likeness and evidence >= config.reaccept_threshold
        same = centre_distance(box_xywh, self.box_xywh) < self.motion.size
        self.frames_reaccepted = good * (1 + same * self.frames_reaccepted)
        x, y = self.motion.expected()
        away = centre_distance(box_xywh, (x, y, 0.0, 0.0)) / self.motion.size
        needed = config.reaccept_frames * min(max(away, 1.0) ** 2, _MOST_PATIENCE)
        if self.frames_reaccepted >= needed:
            self.state = TrackState.TRACKING
            self.frames_unseen = 0
            self.has_fallen, self.last_seen = False, (share, likeness)
        # The next frame is searched around the box: it goes where the target may be.
        return share >= config.target_not_found_threshold

    def learned(self) -> None:
        """Note that the model was updated from the current frame."""
        assert self.usual_score is not None, "judge() comes before an update"
        rate = 1 - (1 - _USUAL_RATE) ** self.frames_since_update
        self.usual_score += rate * (self.score - self.usual_score)
        self.frames_since_update = 0

    @property
    def track(self) -> Track:
        """The public view."""
        return Track(self.target_id, self.box_xywh, self.score, self.state, self.signals)
