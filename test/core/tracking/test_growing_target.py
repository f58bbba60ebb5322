"""A target that comes nearer, tracked without the network's word on its size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from small_settings import small_config

from dcfst_core import Tracker, TrackState
from dcfst_core.network.model import DCFSTNet
from dcfst_core.tracking.shape import Shape

Scene = Callable[..., np.ndarray]
CONFIG = {"size_return": 0.0, "camera_motion": False}
FRAMES, RATE = 14, 1.025


def approach(scene: Scene, tracker: Tracker) -> tuple[list, float]:
    """Tracks of a target that grows about its middle, and how much it has grown in the end."""
    tracker.init(scene(140, 96), (140, 96, 40, 48))
    tracks = []
    for frame in range(1, FRAMES):
        size = RATE**frame
        x, y = 160 - 20 * size, 120 - 24 * size
        tracks.append(tracker.update(scene(x, y, size=size)))
    return tracks, RATE ** (FRAMES - 1)


@pytest.mark.parametrize("growth", [True, False])
def test_the_flow_of_its_points_alone_tells_how_much_it_grew(
    model: DCFSTNet, scene: Scene, growth: bool
) -> None:
    tracks, size = approach(scene, Tracker(model, small_config(growth=growth, **CONFIG)))
    assert all(track.state is TrackState.TRACKING for track in tracks)
    x, y, width, height = tracks[-1].box_xywh
    expected = size if growth else 1.0
    assert (width, height) == pytest.approx((40 * expected, 48 * expected), rel=0.06)
    assert (x + width / 2, y + height / 2) == pytest.approx((160, 120), abs=2)


def test_what_covers_it_does_not_change_its_size(model: DCFSTNet, scene: Scene) -> None:
    tracker = Tracker(model, small_config(**CONFIG))
    tracker.init(scene(140, 96), (140, 96, 40, 48))
    hidden = scene(0, 0, with_target=False)
    for _ in range(8):
        track = tracker.update(hidden)
    assert track.state is not TrackState.TRACKING
    assert track.box_xywh[2:] == pytest.approx((40, 48), rel=0.02)


def test_without_the_shape_filter_it_has_no_effect(model: DCFSTNet, scene: Scene) -> None:
    boxes = []
    for growth in (True, False):
        settings = {**CONFIG, "shape_filter": False, "growth": growth}
        tracks, _ = approach(scene, Tracker(model, small_config(**settings)))
        boxes.append([track.box_xywh for track in tracks])
    assert boxes[0] == boxes[1]


def test_it_may_be_switched_between_two_frames(model: DCFSTNet, scene: Scene) -> None:
    tracker = Tracker(model, small_config(**CONFIG))
    tracker.init(scene(140, 96), (140, 96, 40, 48))
    for growth, size in ((False, 1.1), (True, 1.1), (True, 1.1)):
        tracker.config = small_config(growth=growth, **CONFIG)
        track = tracker.update(scene(160 - 20 * size, 120 - 24 * size, size=size))
    # The first step was told by the close-up of the given frame; from then on there is no growth.
    assert track.box_xywh[2:] == pytest.approx((44, 52.8), rel=0.05)


def test_the_frame_it_is_given_in_makes_its_size_no_less_sure(
    model: DCFSTNet, scene: Scene
) -> None:
    tracker = Tracker(model, small_config(**CONFIG))
    tracker.init(scene(140, 96), (140, 96, 40, 48))
    assert tracker._targets["target"].shape == Shape.start(40, 48)
