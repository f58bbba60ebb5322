"""A target that stands still before a camera that jerks by twice its size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from small_settings import small_config

from dcfst_core import Tracker, TrackState
from dcfst_core.network.model import DCFSTNet

Scene = Callable[..., np.ndarray]
STEPS = [(0, 0), (60, -30), (-25, 40), (70, -35), (-20, 45), (50, 20), (-40, 10), (30, -40)]


def jerked(scene: Scene, steps: list[tuple[int, int]] = STEPS) -> Iterator[tuple]:
    """Frames and the target's true boxes."""
    still = scene(120, 90)
    for dx, dy in steps:
        matrix = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])
        frame = cv2.warpAffine(still, matrix, (320, 240), borderMode=cv2.BORDER_REFLECT)
        yield frame, (120 + dx, 90 + dy, 40, 48)


def error(box_xywh: tuple, truth_xywh: tuple) -> float:
    (x, y, w, h), (tx, ty, tw, th) = box_xywh, truth_xywh
    return float(np.hypot(x + w / 2 - tx - tw / 2, y + h / 2 - ty - th / 2))


@pytest.mark.parametrize("camera_motion", [True, False])
def test_a_jerk_is_followed_only_if_the_camera_is_watched(
    model: DCFSTNet, scene: Scene, camera_motion: bool
) -> None:
    settings = {"search_area_scale": 2.5, "look_around": False, "camera_motion": camera_motion}
    tracker = Tracker(model, small_config(**settings))
    frames = list(jerked(scene))
    tracker.init(*frames[0])
    tracks = [tracker.update(frame) for frame, _ in frames[1:]]
    errors = [error(t.box_xywh, true) for t, (_, true) in zip(tracks, frames[1:], strict=True)]
    assert (max(errors) < 6) is camera_motion
    assert all(t.state is TrackState.TRACKING for t in tracks) is camera_motion


def test_a_lost_targets_last_place_moves_with_the_scene(model: DCFSTNet, scene: Scene) -> None:
    gone = scene(0, 0, with_target=False)
    tracker = Tracker(model, small_config())
    tracker.init(scene(120, 90), (120, 90, 40, 48))
    for step in range(16):
        shift = np.array([[1.0, 0.0, 4.0 * step], [0.0, 1.0, -2.0 * step]])
        frame = cv2.warpAffine(gone, shift, (320, 240), borderMode=cv2.BORDER_REFLECT)
        track = tracker.update(frame)
    assert track.state is TrackState.LOST and track.last_seen_box_xywh is not None
    assert track.box_xywh == track.last_seen_box_xywh and not track.followed
    x, y, _, _ = track.last_seen_box_xywh
    # It has learned nothing of the share with which its target moves: half.
    assert (x, y) == pytest.approx((120 + 30, 90 - 15), abs=4)


def test_each_target_is_told_what_the_camera_did_since_it_was_looked_for(
    model: DCFSTNet, scene: Scene
) -> None:
    """One that was given late catches up over frames that the others have seen."""
    frames = list(jerked(scene))
    config = small_config(search_area_scale=2.5, look_around=False)
    alone, together = Tracker(model, config), Tracker(model, config)
    alone.init(*frames[0], target_id="late")
    expected = [alone.update(frame).box_xywh for frame, _ in frames[1:]]
    together.init(*frames[0], target_id="early")
    for frame, _ in frames[1:5]:
        together.update_all(frame)
    together.init(*frames[0], target_id="late")
    for frame, _ in frames[1:5]:
        together.update_all(frame, only=["late"])
    for k, (frame, _) in enumerate(frames[5:], 4):
        tracks = together.update_all(frame)
        assert tracks["late"].box_xywh == pytest.approx(expected[k], abs=0.5)
        assert tracks["early"].box_xywh == pytest.approx(expected[k], abs=0.5)


def test_the_camera_may_be_watched_from_any_frame_on(model: DCFSTNet, scene: Scene) -> None:
    """What it did meanwhile was followed already, and is not followed once more."""
    frames = list(jerked(scene, [(0, 0), (5, 3), (40, 20), (46, 22), (90, 0)]))
    tracker = Tracker(model, small_config())
    tracker.init(*frames[0])
    tracker.update(frames[1][0])
    tracker.config = small_config(camera_motion=False)
    tracker.update(frames[2][0])
    tracker.config = small_config()
    for frame, true in frames[3:]:
        assert error(tracker.update(frame).box_xywh, true) < 6
    assert tracker._targets["target"].motion.share > 0.5
