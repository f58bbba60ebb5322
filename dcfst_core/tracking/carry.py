"""Where targets are by now, and how large, before they are looked for: what is told by comparing
the new frame with the last one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dcfst_core.boxes import clip_box
from dcfst_core.tracking.camera import Scene
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.growth import CloseUp
from dcfst_core.tracking.move import MARGIN
from dcfst_core.tracking.target import Target


def carry(targets: Sequence[Target], frame_rgb: NDArray[np.uint8], config: TrackerConfig) -> None:
    """Write where targets should be in this frame (H, W, 3), and how large."""
    _follow_camera(targets, frame_rgb, config)
    _follow_growth(targets, frame_rgb, config)


def remember(target: Target, frame_rgb: NDArray[np.uint8], config: TrackerConfig) -> None:
    """Keep of the frame that a new target is given in what the next one is compared with."""
    target.scene = Scene.of(frame_rgb) if config.camera_motion else None
    target.close_up = close_up(target, frame_rgb, config)


def close_up(
    target: Target, frame_rgb: NDArray[np.uint8], config: TrackerConfig
) -> CloseUp | None:
    """What is kept of a target in this frame, to tell its growth in the next one."""
    if not (config.growth and config.shape_filter):
        return None
    return CloseUp.of(frame_rgb, target.box_xywh)


def _follow_camera(
    targets: Sequence[Target], frame_rgb: NDArray[np.uint8], config: TrackerConfig
) -> None:
    """Write where targets are if nothing but the camera has moved since they were looked for."""
    height, width = frame_rgb.shape[:2]
    scene = Scene.of(frame_rgb) if config.camera_motion else None
    shifts: dict[Scene, tuple[float, float] | None] = {}
    for target in targets:
        before, target.scene = target.scene, scene
        if before is None or scene is None or target.belief.awaited:
            continue
        if before not in shifts:
            shifts[before] = scene.shift_from(before)
        target.motion = target.motion.carried(shifts[before])
        dx, dy = (target.motion.share * shift for shift in shifts[before] or (0.0, 0.0))
        target.rivals = target.rivals.carried(dx, dy)
        boxes = [
            clip_box((x + dx, y + dy, w, h), width, height, MARGIN)
            for x, y, w, h in (target.box_xywh, target.last_seen_box_xywh)
        ]
        target.box_xywh, target.last_seen_box_xywh = boxes


def _follow_growth(
    targets: Sequence[Target], frame_rgb: NDArray[np.uint8], config: TrackerConfig
) -> None:
    """Write how large targets should be by now; where the last frame's close-up is held, by how
    much their points have gone apart since."""
    for target in targets:
        growth = None
        if target.close_up is not None:
            growth = target.close_up.growth_at(frame_rgb, *target.motion.expected())
        before, target.shape = target.shape, target.shape.expected(config.size_drift, growth)
        x, y, w, h = target.box_xywh
        wider, higher = target.shape.width / before.width, target.shape.height / before.height
        target.box_xywh = (
            x - (wider - 1) * w / 2,
            y - (higher - 1) * h / 2,
            wider * w,
            higher * h,
        )
