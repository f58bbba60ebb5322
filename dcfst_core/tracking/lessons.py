"""When a target's model learns: what a frame may teach, and whose turn it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dcfst_core.boxes import BoxXYWH
from dcfst_core.track import Evidence
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.finds import Find, Other
from dcfst_core.tracking.looks import LookBook
from dcfst_core.tracking.rivals import is_apart
from dcfst_core.tracking.target import Target


@dataclass(frozen=True)
class Lesson:
    """What one target is to learn from the current frame."""

    target: Target
    find: Find
    rival: bool
    """Whether something else looks so much like it that the model learns to tell them apart."""

    @property
    def box_in_patch(self) -> BoxXYWH:
        """Its box in the search region in which it was found, patch px."""
        return self.find.region.to_patch(self.target.box_xywh)

    def near_middle(self, within: float) -> bool:
        """Whether it is less than this share of its size from that region's middle: then the
        region's features show what a new crop around it would."""
        x, y, w, h = self.box_in_patch
        middle = self.find.region.patch_size / 2
        return math.hypot(x + w / 2 - middle, y + h / 2 - middle) < within * math.sqrt(w * h)


def has_rival(evidence: Evidence | None, config: TrackerConfig) -> bool:
    """Whether the second peak is a hard negative."""
    limit = config.hard_negative_threshold
    return evidence is not None and limit < 1 and evidence.second_peak > limit * evidence.peak


def due_lessons(lessons: Sequence[Lesson], targets: int, config: TrackerConfig) -> list[Lesson]:
    """What is learned in this frame; what can wait a little waits for the next ones.

    Targets that were given together would all be due together, and that frame would be late. One
    that still learns from an earlier frame is not due.
    """
    interval = config.update_interval
    free = [lesson for lesson in lessons if not lesson.target.model.learning]
    urgent = [lesson for lesson in free if lesson.rival]
    others = [
        lesson
        for lesson in free
        if not lesson.rival and lesson.target.model.frames_since_update >= interval
    ]
    others.sort(key=lambda lesson: -lesson.target.model.frames_since_update)
    return urgent + others[: math.ceil(targets / interval)]


def with_look(lesson: Lesson) -> LookBook | None:
    """The target's looks with that of the lesson's find."""
    looks, descriptor = lesson.target.looks, lesson.find.descriptor
    return looks if looks is None or descriptor is None else looks.with_look(descriptor)


def with_others(
    target: Target, find: Find | None, others: Sequence[Other], far: Sequence[Other]
) -> LookBook | None:
    """The target's looks with those of something else.

    `find`: where it surely is, beside which `others` answer; None: they may be the target. `far`:
    what answers where it cannot be.
    """
    looks, size = target.looks, target.motion.size
    if looks is None:
        return None
    if find is None and target.motion.is_long_gone:
        looks = looks.without_far()
    for other in far:
        if other.descriptor is not None:
            looks = looks.with_far(other.descriptor)
    if find is None:
        return looks
    for other in others:
        if other.descriptor is not None and is_apart(other[:2], find.peak_xy, size):
            looks = looks.with_other(other.descriptor)
    return looks
