"""How far a target may have gone since it was last seen.

What looks like a target but stands where it cannot have got to is something else: while a target
is in doubt it is looked for within a circle that grows with time and with the target's own speed.
Not in the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dcfst_core.boxes import BoxXYWH

_RATE = 0.1
# Slower targets are granted this, target sizes a frame. In the end the circle holds the frame.
_LEAST_STEP, _LEAST_DRIFT = 0.1, 0.14
# Of a new target nothing is known: it may go as fast as that, target sizes a frame.
_FIRST_STEP = 1.0
# Whose steps are shorter does not leap out of its search region: what is there is something else.
_LEAPING_STEP = 0.25
# So many frames widen the circle to any frame.
_ANYWHERE = 1_000_000


@dataclass(frozen=True)
class Motion:
    """Where a target was last seen, and how it moved. Lengths in sizes sqrt(w h) of its box."""

    x: float
    y: float
    size: float
    """Centre of the box and its size when the target was last seen, image pixels."""
    drift_x: float = 0.0
    drift_y: float = 0.0
    """Mean displacement, sizes a frame: where the target goes."""
    step: float = _FIRST_STEP
    """Mean length of a displacement, sizes a frame: also that of a target that goes to and fro."""
    frames_unseen: int = 0

    @classmethod
    def start(cls, box_xywh: BoxXYWH) -> Motion:
        """A target of which only its box is known."""
        x, y, w, h = box_xywh
        return cls(x + w / 2, y + h / 2, math.sqrt(w * h))

    @classmethod
    def anywhere(cls, width: float, height: float) -> Motion:
        """A target that may be anywhere in a frame of any size."""
        return cls(0.0, 0.0, math.sqrt(width * height), frames_unseen=_ANYWHERE)

    def seen(self, box_xywh: BoxXYWH) -> Motion:
        """The motion after a frame in which the target is at this box."""
        x, y, w, h = box_xywh
        x, y = x + w / 2, y + h / 2
        moved = replace(self, x=x, y=y, size=math.sqrt(w * h), frames_unseen=0)
        if self.frames_unseen:
            return moved
        dx, dy = (x - self.x) / self.size, (y - self.y) / self.size
        return replace(
            moved,
            drift_x=self.drift_x + _RATE * (dx - self.drift_x),
            drift_y=self.drift_y + _RATE * (dy - self.drift_y),
            step=self.step + _RATE * (math.hypot(dx, dy) - self.step),
        )

    def missed(self) -> Motion:
        """The motion after a frame in which the target was not surely seen."""
        return replace(self, frames_unseen=self.frames_unseen + 1)

    @property
    def scale(self) -> float:
        """Pixels in which distances from where the target should be are judged.

        Its size, and twice its usual step: one leap may well be that much longer than the mean.
        Of a target that was not seen for a while, as of a random walk, that step times the root of
        the number of frames. For one that may be anywhere no place is far.
        """
        if self.frames_unseen >= _ANYWHERE:
            return math.inf
        return self.size * (1 + 2 * self.step * math.sqrt(self.frames_unseen + 1))

    def may_leap(self) -> bool:
        """Whether one step may lead out of the search region."""
        return self.step > _LEAPING_STEP

    def expected(self) -> tuple[float, float]:
        """Where to look in the next frame, px: midway between a halt and a steady course."""
        frames = self.frames_unseen + 1
        half = frames * self.size / 2
        return self.x + half * self.drift_x, self.y + half * self.drift_y

    def reach(self, slack: float) -> float:
        """Pixels from `expected` within which the target may be in the next frame.

        Far enough for a halt and for a steady course, and beyond them for `slack` sizes and, as of
        a random walk, for the step times the root of the number of frames.
        """
        frames = self.frames_unseen + 1
        half = frames / 2 * max(math.hypot(self.drift_x, self.drift_y), _LEAST_DRIFT)
        return (slack + half + max(self.step, _LEAST_STEP) * math.sqrt(frames)) * self.size
