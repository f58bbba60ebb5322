"""What was found of each target: from rows on the device to one find and its evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dcfst_core.boxes import BoxXYWH
from dcfst_core.network.embedding import Features
from dcfst_core.network.rows import pick
from dcfst_core.network.samples import SampleGrid
from dcfst_core.track import Evidence, ScoreMap
from dcfst_core.tracking.evidence import elsewhere, known_margin
from dcfst_core.tracking.looks import Likeness
from dcfst_core.tracking.patch import SearchRegion
from dcfst_core.tracking.peaks import Peaks
from dcfst_core.tracking.refinement import Refined
from dcfst_core.tracking.rivals import is_apart
from dcfst_core.tracking.target import Target

# What answers by less than the first share of the target's peak is not taken for it while it is
# there. By less than the second it will hardly be when the target is gone.
_RIVAL_SHARE, _OTHER_SHARE = 0.2, 0.1
# What is like the target by so much more than like anything beside it is no rival.
_OWN_MARGIN = 0.2
# Beyond its reach by so many target sizes it cannot be.
_BEYOND = 0.5


class Found(NamedTuple):
    """What is in the regions, one row each."""

    blocks: Features
    features: Features
    scores: Tensor
    """(B, n, n)"""
    peaks: Peaks


class Examined(NamedTuple):
    """What the closer look says, one row for each region."""

    refined: Refined
    likeness: Likeness
    descriptor: Tensor
    """(B, F); (B, 0) where no looks are remembered."""
    second_descriptor: Tensor
    """The same of the second peak, in a box of the same size."""
    colour_likeness: Tensor
    palette: Tensor
    """(B, BINS^3); (B, 0) where colours are not compared."""


class Signals(NamedTuple):
    """The numbers of one find that need no context; see `Evidence`."""

    peak: float
    second_peak: float
    predicted_iou: float
    box_spread: float
    likeness_first: float
    likeness: float
    rival_likeness: float
    colour_likeness: float


@dataclass(frozen=True)
class Find:
    """One target's best find in the current frame; numbers are on the host."""

    signals: Signals
    peak_xy: tuple[float, float]
    """Image px; so are the others."""
    second_xy: tuple[float, float]
    box_xywh: BoxXYWH
    """As refined."""
    region: SearchRegion
    features: Features
    """Head features (1, ...) of that region."""
    descriptor: Tensor | None
    """What was found looks like this (1, F); None where no looks are remembered."""
    second_descriptor: Tensor | None
    """What is at the second peak looks like this."""
    palette: Tensor | None
    """Its colours (1, BINS^3); None where they are not compared."""
    scores: Tensor
    """(n, n), on the device."""

    @property
    def is_like_target(self) -> bool:
        """Whether its look is rather the target's than that of anything known beside it."""
        signals = self.signals
        return known_margin(signals.likeness, signals.rival_likeness) > _OWN_MARGIN

    def score_map(self, grid: SampleGrid) -> ScoreMap:
        """The scores as a picture of the image around the find."""
        half = grid.size * grid.spacing / 2
        middle = grid.patch_size / 2
        area = self.region.to_image((middle - half, middle - half, 2 * half, 2 * half))
        return ScoreMap(self.scores.float().cpu().numpy(), area)


class Other(NamedTuple):
    """Something else that answers."""

    x: float
    y: float
    """Image px."""
    descriptor: Tensor | None
    """It looks like this (1, F); None where no looks are remembered."""
    is_rival: bool
    """Whether it answers so much that it may be taken for the target now."""


def read_finds(
    found: Found, examined: Examined, regions: Sequence[SearchRegion]
) -> list[Find | None]:
    """The find of each region as numbers on the host; None where there is nothing within reach."""
    peaks, refined = found.peaks, examined.refined
    numbers = torch.stack(
        (
            *(peaks.score, peaks.second_score),
            *(refined.predicted_iou, refined.spread),
            *(*examined.likeness, examined.colour_likeness),
        ),
        dim=1,
    )
    places = (peaks.centre_xy, peaks.second_xy, refined.box_cxcywh)
    rows = torch.cat((numbers, *places), dim=1).tolist()
    finds: list[Find | None] = []
    for index, (region, row) in enumerate(zip(regions, rows, strict=True)):
        # Nothing within reach, or numbers that are none: a damaged model's. (The second peak may
        # be -inf, and the predicted IoU NaN without refinement.)
        told = (row[0], *row[3:])
        if not all(map(math.isfinite, told)) or math.isnan(row[1]):
            finds.append(None)
            continue
        one = slice(index, index + 1)
        x, y, w, h = row[12:]
        finds.append(
            Find(
                Signals(*row[:8]),
                peak_xy=region.to_image((*row[8:10], 0.0, 0.0))[:2],
                second_xy=region.to_image((*row[10:12], 0.0, 0.0))[:2],
                box_xywh=region.to_image((x - w / 2, y - h / 2, w, h)),
                region=region,
                features=pick(found.features, one),
                descriptor=_held(examined.descriptor[one]),
                second_descriptor=_held(examined.second_descriptor[one]),
                palette=_held(examined.palette[one]),
                scores=found.scores[index],
            )
        )
    return finds


def _held(row: Tensor) -> Tensor | None:
    return row if row.shape[1] else None


def weigh(find: Find, target: Target) -> Evidence:
    """The evidence of a find: what the network says, and how it fits what is known."""
    x, y, w, h = find.box_xywh
    motion = target.motion
    away = motion.away(x + w / 2, y + h / 2)
    # A rival's place is known however long the target was away, whose own is less and less: what
    # speaks for the target there is how far it goes in one frame.
    not_there = elsewhere(away / motion.stride)
    wider = math.log(w) - target.shape.log_width
    taller = math.log(h) - target.shape.log_height
    return Evidence(
        **find.signals._asdict(),
        distance=away / motion.scale,
        size_change=abs(wider + taller) / 2,
        aspect_change=abs(wider - taller),
        rival_nearness=not_there * target.rivals.nearness(*find.peak_xy, motion.size),
    )


def other_peaks(candidates: Sequence[Find], chosen: Find) -> tuple[Other, ...]:
    """What else answers with a share of the chosen find's peak."""
    peak = chosen.signals.peak
    unchosen = [find for find in candidates if find is not chosen]
    places = [(*place, False) for find in candidates for place in _peaks(find)[1:]]
    places += [(*_peaks(find)[0], find.is_like_target) for find in unchosen]
    return tuple(
        Other(*place, descriptor, height >= _RIVAL_SHARE * peak and not is_like_target)
        for height, place, descriptor, is_like_target in places
        if height >= _OTHER_SHARE * peak
    )


def far_peaks(
    finds: Sequence[Find], chosen: Find | None, target: Target, reach: float
) -> tuple[Other, ...]:
    """What answers with a share of the target's usual peak where it cannot be.

    That is farther than `reach`, px, from where it should be. A second look around may have chosen
    one out there nevertheless.
    """
    motion, size = target.motion, target.motion.size
    least = _RIVAL_SHARE * target.belief.usual.peak
    chosen_xy = None if chosen is None else chosen.peak_xy
    return tuple(
        Other(*place, descriptor, True)
        for find in finds
        for height, place, descriptor in _peaks(find)
        if height >= least
        and motion.away(*place) > reach + _BEYOND * size
        and is_apart(place, chosen_xy, size)
    )


def _peaks(find: Find) -> tuple[tuple[float, tuple[float, float], Tensor | None], ...]:
    """Height, place and descriptor of its first and its second peak."""
    first = find.signals.peak, find.peak_xy, find.descriptor
    return first, (find.signals.second_peak, find.second_xy, find.second_descriptor)
