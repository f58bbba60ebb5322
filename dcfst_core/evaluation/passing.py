"""A still patch that a target passes behind: where it has to stand, and which frames to show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcfst_core.evaluation.metrics import FloatArray, has_area
from dcfst_core.evaluation.occluders import grown, visible_fraction
from dcfst_core.evaluation.playing import IntArray, to_and_fro, wander

# Frames that the target must be seen before it comes to the patch, played to and fro if need be.
FEWEST_CLEAR = 5


@dataclass(frozen=True)
class Passing:
    """order: (N,) frames of the clip to show. absent: first frame fully hidden, first one after.

    patch_xywh: (4,) where the patch stands in every frame.
    """

    order: IntArray
    absent: tuple[int, int]
    patch_xywh: FloatArray


@dataclass(frozen=True)
class _Place:
    """Frames of a clip with a patch: clear before it, coming, hidden, leaving, clear after it.

    Each pair is a first and a last frame. after: None where the target never comes out.
    """

    patch_xywh: FloatArray
    clear: tuple[int, int]
    hidden: tuple[int, int]
    after: tuple[int, int] | None

    def worth(self) -> tuple[int, bool, int]:
        """The longer it is seen before, the better; then: it comes out, it comes slowly."""
        seen = min(self.clear[1] - self.clear[0] + 1, 3 * FEWEST_CLEAR)
        return seen, self.after is not None, min(self.hidden[0] - self.clear[1], 5)


def passing_order(
    truth_xywh: FloatArray, factor: float, before: int, hidden: int, after: int
) -> Passing | None:
    """Find a patch that the target passes behind by its own motion, and an order of frames.

    truth_xywh: (N, 4) the clip's boxes. The patch has a box's size times `factor`. `before`
    frames show the target clear of it, exactly `hidden` ones show nothing of it, and `after`
    follow once it is clear again; between them it comes and goes. While it is hidden the clip is
    played to and fro; where it never comes out on the other side it returns the way it came. None
    where the target moves too little.
    """
    places = [p for i in range(len(truth_xywh)) if (p := _place(truth_xywh, i, factor))]
    if not places:
        return None
    place = max(places, key=_Place.worth)
    clear, (first, last) = place.clear, place.hidden
    lead = np.arange(max(clear[0], clear[1] - before + 1), clear[1] + 1)
    coming = np.arange(clear[1] + 1, first)
    shown = min(last - first + 1, hidden)
    if place.after is not None and last - first + 1 <= hidden:
        behind = first + wander(shown, hidden, shown - 1)
        leaving = np.arange(last + 1, place.after[0])
        out = place.after[0] + to_and_fro(place.after[1] - place.after[0] + 1, after)
    else:
        behind = first + wander(shown, hidden, 0)
        leaving = coming[::-1]
        out = clear[1] - to_and_fro(clear[1] - clear[0] + 1, after)
    order = np.concatenate(
        (lead[wander(len(lead), before, len(lead) - 1)], coming, behind, leaving, out)
    )
    start = before + len(coming)
    return Passing(order.astype(np.int64), (start, start + hidden), place.patch_xywh)


def _place(truth_xywh: FloatArray, middle: int, factor: float) -> _Place | None:
    """What a patch over the box of frame `middle` hides; None where it is of no use."""
    present = has_area(truth_xywh)
    if not present[middle]:
        return None
    patch = grown(truth_xywh[middle], factor)
    visible = np.full(len(truth_xywh), np.nan)
    visible[present] = visible_fraction(
        truth_xywh[present], np.tile(patch, (int(present.sum()), 1))
    )
    first = middle - _run(visible[middle::-1] == 0) + 1
    last = middle + _run(visible[middle:] == 0) - 1
    partly = (visible > 0) & (visible < 1)
    coming = _run(partly[:first][::-1])
    seen = _run(visible[: first - coming][::-1] == 1)
    if seen < FEWEST_CLEAR:
        return None
    leaving = _run(partly[last + 1 :])
    out = last + 1 + leaving
    seen_after = _run(visible[out:] == 1)
    end = first - coming - 1
    return _Place(
        patch,
        (end - seen + 1, end),
        (first, last),
        (out, out + seen_after - 1) if seen_after >= FEWEST_CLEAR else None,
    )


def _run(holds: np.ndarray) -> int:
    """How many values are true before the first false one."""
    false = np.flatnonzero(~holds)
    return int(false[0]) if len(false) else len(holds)
