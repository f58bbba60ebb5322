"""Where a target's box goes, and what becomes of its shape and rivals, after one frame's find."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dcfst_core.boxes import BoxXYWH, clip_box
from dcfst_core.track import TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.finds import Find, Other
from dcfst_core.tracking.rivals import Rivals
from dcfst_core.tracking.search import Plan
from dcfst_core.tracking.shape import Shape, measurement_noise
from dcfst_core.tracking.target import Target

MARGIN = 2.0
"""Pixels of a box that stay inside the image."""


def next_shape(shape: Shape, find: Find | None, config: TrackerConfig) -> Shape:
    """The shape after a frame with this find of the target; None: it was not seen.

    `shape`: as it was expected in this frame.
    """
    if find is None or not config.shape_filter:
        return shape
    return shape.measured(*find.box_xywh[2:], _noise(find, config), config.size_return)


def next_box(
    shape: Shape,
    state: TrackState,
    plan: Plan,
    find: Find,
    frame_size: tuple[int, int],
    config: TrackerConfig,
) -> BoxXYWH:
    """The box of the find: the refined one, filtered, kept at least partly inside the image.

    `shape`: the target's after this frame; `frame_size`: width and height.
    """
    x, y, w, h = find.box_xywh
    centre_x, centre_y = x + w / 2, y + h / 2
    if config.shape_filter:
        # Peak and refined centre, each with the weight of its own certainty.
        share = _noise(find, config) ** 2
        share = config.peak_noise**2 / (config.peak_noise**2 + share)
        centre_x = find.peak_xy[0] + share * (centre_x - find.peak_xy[0])
        centre_y = find.peak_xy[1] + share * (centre_y - find.peak_xy[1])
        # A lost target may have come back nearer or farther: then the region was a zoomed one.
        zoom = find.region.side / plan.regions[0].side if state is TrackState.LOST else 1.0
        w, h = zoom * shape.width, zoom * shape.height
    width, height = frame_size
    w, h = min(max(w, 2.0), 2.0 * width), min(max(h, 2.0), 2.0 * height)
    box = (centre_x - w / 2, centre_y - h / 2, w, h)
    return clip_box(box, width, height, MARGIN)


def _noise(find: Find, config: TrackerConfig) -> float:
    """How far the refined box may be off, in sizes."""
    iou = find.signals.predicted_iou
    return measurement_noise(
        config.size_noise, find.signals.box_spread, 1.0 if math.isnan(iou) else iou
    )


def next_rivals(
    target: Target,
    find: Find | None,
    others: Sequence[Other],
    far: Sequence[Other],
    surely: bool,
) -> Rivals:
    """The target's rivals after a frame with this find and these others, by their places.

    `far`: others where the target cannot be; `surely`: whether the find is the target for sure.
    """
    places = [(other.x, other.y) for other in others if other.is_rival]
    if find is not None and find.is_like_target and not surely:
        find = None  # no rival has moved there
    found_xy = None if find is None else find.peak_xy
    far_away = [(other.x, other.y) for other in far]
    known = target.rivals.without_far() if target.motion.is_long_gone else target.rivals
    return known.after(places, found_xy, surely, target.motion.size, far_away)
