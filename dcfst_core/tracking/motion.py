"""How far a target may have gone since it was last seen.

What looks like a target but stands where it cannot have got to is something else: while a target
is in doubt it is looked for within a circle that grows with time and with the target's own speed.
What the camera does is not the target's speed: it is measured (`tracking.camera`), and it is
learned with what share of it a target moves in the image. For what stands in the scene that is 1,
for what the camera follows 0. Not in the paper.
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
# How far the box of a target that halts may be off, target sizes.
_BOX_SPREAD = 0.25
# Whose steps are shorter does not leap out of its search region: what is there is something else.
_LEAPING_STEP = 0.25
# A target's share of the camera's motion is the slope of its steps over the camera's. It begins at
# the first of these, which counts as much as steps of the second, in squared sizes.
_FIRST_SHARE, _FIRST_WEIGHT, _SHARE_KEPT = 0.5, 0.1, 0.9
# The camera's steps that are not known may have undone what is known of them, if that is no more
# than so many of their usual lengths.
_UNDONE = 4.0
# For so many frames it is believed that what was beyond its reach is not the target.
_LONG_GONE = 90
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
    camera_x: float = 0.0
    camera_y: float = 0.0
    """By how much the scene was moved in the image since the target was last seen, px."""
    camera_step: float = 0.0
    """Mean length of the camera's steps, sizes a frame."""
    blind: float = 0.0
    """Where the camera's steps are not known, those since the target was last seen may be so long:
    mean square, sizes squared."""
    together: float = 0.0
    camera_square: float = 0.0
    """Sums, of the last ten frames or so, of the target's steps times the camera's, and of the
    camera's squared."""

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
        here = replace(self, x=x, y=y, size=math.sqrt(w * h))
        here = replace(here, frames_unseen=0, camera_x=0.0, camera_y=0.0, blind=0.0)
        if self.frames_unseen or self.blind:
            return here
        dx, dy = (x - self.x) / self.size, (y - self.y) / self.size
        cx, cy = self.camera_x / self.size, self.camera_y / self.size
        # One leap of the camera says no more than a step of one size.
        square = cx * cx + cy * cy
        weight = 1 / max(1.0, square)
        together = _SHARE_KEPT * self.together + weight * (dx * cx + dy * cy)
        camera_square = _SHARE_KEPT * self.camera_square + weight * square
        dx, dy = dx - self.share * cx, dy - self.share * cy
        return replace(
            here,
            drift_x=self.drift_x + _RATE * (dx - self.drift_x),
            drift_y=self.drift_y + _RATE * (dy - self.drift_y),
            step=self.step + _RATE * (math.hypot(dx, dy) - self.step),
            together=together,
            camera_square=camera_square,
        )

    def carried(self, shift_xy: tuple[float, float] | None) -> Motion:
        """The motion after the scene was moved in the image by (x, y), px; None: by something."""
        if shift_xy is None:
            return replace(self, blind=self.blind + (self.share * self.camera_step) ** 2)
        x, y = shift_xy
        length = math.hypot(x, y) / self.size
        return replace(
            self,
            camera_x=self.camera_x + x,
            camera_y=self.camera_y + y,
            camera_step=self.camera_step + _RATE * (length - self.camera_step),
        )

    @property
    def share(self) -> float:
        """With what share of the camera's motion the target moves in the image."""
        known = self.together + _FIRST_SHARE * _FIRST_WEIGHT
        return min(max(known / (self.camera_square + _FIRST_WEIGHT), 0.0), 1.0)

    def missed(self) -> Motion:
        """The motion after a frame in which the target was not surely seen."""
        return replace(self, frames_unseen=self.frames_unseen + 1)

    @property
    def scale(self) -> float:
        """Pixels in which distances from where the target should be are judged.

        Its size, and twice its usual step: one leap may well be that much longer than the mean.
        Of a target that was not seen for a while that step is as long as a random walk's. For one
        that may be anywhere no place is far.
        """
        if self.frames_unseen >= _ANYWHERE:
            return math.inf
        return self._and_a_leap(1.0, self._wandered(self.step))

    @property
    def spread(self) -> float:
        """How far, px, it is wont to be from where it should be in this frame.

        A standard deviation, as of `scale`; the box is off by something even if the target halts.
        """
        return self._and_a_leap(_BOX_SPREAD, self._wandered(self.step))

    @property
    def stride(self) -> float:
        """The same for one that was seen just now, however long ago it was."""
        return self._and_a_leap(1.0, self.step)

    def _and_a_leap(self, sizes: float, step: float) -> float:
        """So many of its sizes and twice a step, px."""
        return self.size * (sizes + 2 * step)

    def may_leap(self) -> bool:
        """Whether one step may lead out of the search region."""
        return math.hypot(self.step, math.sqrt(self.blind)) > _LEAPING_STEP

    @property
    def is_long_gone(self) -> bool:
        """Whether it may be, after all, what stood where it could not have got to by itself.

        It may have been carried off, or frames may have been missed; then it is what is there.
        """
        return self.frames_unseen >= _LONG_GONE

    def _wandered(self, step: float) -> float:
        """How far it may be from where it should be, sizes: with steps as of a random walk, its
        own and those of the camera that are not known."""
        return math.sqrt(step**2 * (self.frames_unseen + 1) + self.blind)

    def expected(self) -> tuple[float, float]:
        """Where to look in this frame, px: midway between a halt and a steady course, moved along
        with the camera."""
        frames = self.frames_unseen + 1
        half = frames * self.size / 2
        return (
            self.x + self.share * self.camera_x + half * self.drift_x,
            self.y + self.share * self.camera_y + half * self.drift_y,
        )

    def away(self, x: float, y: float) -> float:
        """How far a place, px, is from where the target should be in this frame.

        Where a step of the camera is not known, the target may as well be where it was, if that
        step may have been so long: cameras are held on what is filmed.
        """
        away = math.dist((x, y), self.expected())
        known = self.share * math.hypot(self.camera_x, self.camera_y) / self.size
        if 0 < known <= _UNDONE * math.sqrt(self.blind):
            halted = replace(self, camera_x=0.0, camera_y=0.0)
            away = min(away, math.dist((x, y), halted.expected()))
        return away

    def reach(self, slack: float) -> float:
        """Pixels from `expected` within which the target may be in the next frame.

        Far enough for a halt and for a steady course, and beyond them for `slack` sizes and, as of
        a random walk, for its steps.
        """
        frames = self.frames_unseen + 1
        half = frames / 2 * max(math.hypot(self.drift_x, self.drift_y), _LEAST_DRIFT)
        return (slack + half + self._wandered(max(self.step, _LEAST_STEP))) * self.size
