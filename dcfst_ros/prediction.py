"""Where a target is now: its last box moved by a constant-velocity model. Pure Python."""

from __future__ import annotations

from dataclasses import dataclass

from dcfst_ros.conversions import BoxXYWH


@dataclass
class _Motion:
    stamp_ns: int
    box_xywh: BoxXYWH
    velocity_xy: tuple[float, float] = (0.0, 0.0)


class ConstantVelocity:
    """Centre velocities in px/s from successive boxes, smoothed exponentially; sizes stay.

    `smoothing`: share of the newest difference in the velocity, 0 to 1. `horizon_s`: the farthest
    a box is moved into the future; an older one is not predicted, nor one after a gap that long.
    """

    def __init__(self, smoothing: float = 0.5, horizon_s: float = 0.5) -> None:
        self.smoothing = smoothing
        self.horizon_s = horizon_s
        self._motions: dict[str, _Motion] = {}

    def observe(self, target_id: str, stamp_ns: int, box_xywh: BoxXYWH) -> None:
        """Take a target's box in the image of that stamp."""
        before = self._motions.get(target_id)
        velocity = (0.0, 0.0)
        if before is not None:
            elapsed_s = (stamp_ns - before.stamp_ns) / 1e9
            if 0.0 < elapsed_s <= self.horizon_s:
                old, new = _centre(before.box_xywh), _centre(box_xywh)
                share = self.smoothing if before.velocity_xy != (0.0, 0.0) else 1.0
                velocity = (
                    (1 - share) * before.velocity_xy[0] + share * (new[0] - old[0]) / elapsed_s,
                    (1 - share) * before.velocity_xy[1] + share * (new[1] - old[1]) / elapsed_s,
                )
        self._motions[target_id] = _Motion(stamp_ns, box_xywh, velocity)

    def forget(self, target_id: str) -> None:
        """Drop a target that is not seen any more: its next box starts anew."""
        self._motions.pop(target_id, None)

    def predict(self, target_id: str, now_ns: int) -> BoxXYWH | None:
        """The box at a time, or None when the last one is too old or from the future."""
        motion = self._motions.get(target_id)
        if motion is None:
            return None
        ahead_s = (now_ns - motion.stamp_ns) / 1e9
        if not 0.0 <= ahead_s <= self.horizon_s:
            return None
        x, y, width, height = motion.box_xywh
        dx, dy = (speed * ahead_s for speed in motion.velocity_xy)
        return (x + dx, y + dy, width, height)


def _centre(box_xywh: BoxXYWH) -> tuple[float, float]:
    x, y, width, height = box_xywh
    return x + width / 2, y + height / 2
