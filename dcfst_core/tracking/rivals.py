"""Where things stand that look like a target and are not it.

While the target is seen, whatever else the regressor answers to is something else. When the target
then disappears, the best find nearly always is one of those. So their places are remembered, and
moved with what is found there, until nothing has been found there for a while. While it is away
one more region a frame is looked at beyond its reach: who answers there is something else, too,
and would be found as soon as it is within reach. Not in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

# Lengths in target sizes. What is found within a step of a rival's place is that rival; what is
# within the target's own place is the target.
_STEP, _OWN = 0.75, 0.5
# A find is where a rival stands as far as a Gaussian of this width says.
_WIDTH = 0.4
# Frames for which a rival's place is kept though nothing is found there; rivals in all.
_KEPT, _MOST = 15, 8


def is_apart(place: tuple[float, float], find_xy: tuple[float, float] | None, size: float) -> bool:
    """Whether a place, px, is not the found target's own; nothing is where none was found."""
    return find_xy is None or math.dist(place, find_xy) > _OWN * size


class Rival(NamedTuple):
    """One of them, image px."""

    x: float
    y: float
    frames_unseen: int = 0
    far: bool = False
    """Whether it was taken up while the target was away, as it cannot have been there."""


class Rivals(NamedTuple):
    """All that are remembered of one target."""

    places: tuple[Rival, ...] = ()

    def nearness(self, x: float, y: float, size: float) -> float:
        """How surely a find at (x, y), px, is where one of them stands: 1 there, 0 far off.

        `size`: sqrt(w h) of the target, px.
        """
        nearest = min((math.hypot(x - r.x, y - r.y) for r in self.places), default=math.inf)
        return math.exp(-0.5 * (nearest / (_WIDTH * size)) ** 2)

    def carried(self, dx: float, dy: float) -> Rivals:
        """The rivals after what they stand in was moved in the image, px."""
        moved = [rival._replace(x=rival.x + dx, y=rival.y + dy) for rival in self.places]
        return Rivals(tuple(moved))

    def without_far(self) -> Rivals:
        """Those that stood beside the target."""
        return Rivals(tuple(rival for rival in self.places if not rival.far))

    def after(
        self,
        others: Sequence[tuple[float, float]],
        find_xy: tuple[float, float] | None,
        seen: bool,
        size: float,
        far: Sequence[tuple[float, float]] = (),
    ) -> Rivals:
        """The rivals after a frame.

        `others`: where else the frame has peaks, px; `find_xy`: its find; `seen`: whether that is
        the target. New ones are taken up beside the target itself, and from `far`, peaks where it
        cannot be: what else appears while it is away may be the target that comes back.
        """
        places = [*others, *far]
        if find_xy is not None:
            if seen:
                places = [place for place in places if is_apart(place, find_xy, size)]
            else:
                places.append(find_xy)
        rivals = []
        for rival in self.places:
            if seen and not is_apart(rival[:2], find_xy, size):
                continue
            near = min(places, key=lambda p: math.dist(p, rival[:2]), default=None)
            if near is not None and math.dist(near, rival[:2]) <= _STEP * size:
                rivals.append(Rival(*near, far=rival.far and not seen))
            elif rival.frames_unseen < _KEPT:
                rivals.append(rival._replace(frames_unseen=rival.frames_unseen + 1))
        known = {rival[:2] for rival in rivals}
        fresh = [place for place in (places if seen else far) if place not in known]
        # Who is near the target counts more than who is far.
        new = [Rival(*place, far=not seen) for place in fresh]
        rivals = new + rivals if seen else rivals + new
        return Rivals(tuple(dict.fromkeys(rivals))[:_MOST])
