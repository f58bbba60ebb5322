"""The tracker's ways with targets: given, held, refused, released; and what frames it takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from small_settings import small_config

from dcfst_core import Tracker, TrackerConfig, TrackState
from dcfst_core.errors import BoxError, DCFSTError, FrameError, TargetError
from dcfst_core.network.model import DCFSTNet

Scene = Callable[..., np.ndarray]
CONFIG = small_config()
BOX = (60, 80, 40, 48)


@pytest.fixture
def tracker(model: DCFSTNet) -> Tracker:
    return Tracker(model, CONFIG)


def test_an_update_without_one_target_says_what_to_do(tracker: Tracker, scene: Scene) -> None:
    frame = scene(60, 80)
    with pytest.raises(TargetError, match=r"exactly one target, 0 are held: call init") as caught:
        tracker.update(frame)
    assert isinstance(caught.value, DCFSTError)
    tracker.init(frame, BOX, "a")
    tracker.init(frame, (200, 60, 50, 30), "b")
    with pytest.raises(TargetError, match=r"2 are held: .*update_all"):
        tracker.update(frame)


def test_targets_come_and_go(tracker: Tracker, scene: Scene) -> None:
    frame = scene(60, 80)
    assert tracker.update_all(frame) == {}
    tracker.init(frame, BOX, "a")
    tracker.init(frame, (200, 60, 50, 30), "b")
    assert tracker.target_ids == ("a", "b")
    tracker.release("a")
    tracker.release("never given")
    assert tracker.update(frame).target_id == "b"
    tracker.init(frame, (100, 60, 20, 30), "b")
    assert tracker.target_ids == ("b",)
    tracker.reset()
    assert tracker.target_ids == ()


def test_the_last_track_of_a_target_is_told_again(tracker: Tracker, scene: Scene) -> None:
    given = [tracker.init(scene(60, 80), BOX), tracker.init(scene(60, 80), BOX, "b")]
    assert [tracker.track(), tracker.track("b")] == given
    (last,) = tracker.update_all(scene(64, 82), only=["b"]).values()
    assert tracker.track("b") == last != given[1]
    assert tracker.track("b").evidence == last.evidence is not None
    assert tracker.track() == given[0]
    tracker.release("b")
    with pytest.raises(TargetError, match=r"among \['target'\]; got also \['b'\]"):
        tracker.track("b")


def test_only_some_targets_are_updated_on_request(tracker: Tracker, scene: Scene) -> None:
    for name, box in (("cup", BOX), ("cap", (200, 60, 50, 30)), ("c", (20, 20, 12, 40))):
        tracker.init(scene(60, 80), box, name)
    assert list(tracker.update_all(scene(62, 80), only=["c", "cup"])) == ["cup", "c"]
    assert list(tracker.update_all(scene(62, 80), only={"cap"})) == ["cap"]
    assert tracker.update_all(scene(62, 80), only=()) == {}


@pytest.mark.parametrize("only", ["cup", "c"])
def test_a_string_is_not_taken_for_its_letters(tracker: Tracker, scene: Scene, only: str) -> None:
    tracker.init(scene(60, 80), BOX, "cup")
    tracker.init(scene(60, 80), BOX, "c")
    with pytest.raises(TargetError, match=rf"collection of ids, e\.g\. \['{only}'\]; got a str"):
        tracker.update_all(scene(60, 80), only=only)


def test_unknown_ids_are_named(tracker: Tracker, scene: Scene) -> None:
    tracker.init(scene(60, 80), BOX, "cup")
    with pytest.raises(TargetError, match=r"among \['cup'\]; got also \['cap', 'mug'\]"):
        tracker.update_all(scene(60, 80), only=["mug", "cup", "cap"])


def test_a_frame_of_another_size_is_refused_with_both_sizes(
    tracker: Tracker, scene: Scene
) -> None:
    tracker.init(scene(60, 80), BOX)
    tracker.update(scene(62, 80))
    smaller = np.ascontiguousarray(scene(64, 80)[:200, :300])
    with pytest.raises(FrameError, match=r"320x240.* got 300x200: release the targets"):
        tracker.update(smaller)
    with pytest.raises(FrameError, match=r"320x240.* got 300x200"):
        tracker.init(smaller, BOX, "another")
    assert tracker.target_ids == ("target",)
    assert tracker.update(scene(64, 80)).state is TrackState.TRACKING
    # The only target may be given anew in a frame of any size, and so after a release.
    tracker.init(smaller, BOX)
    assert tracker.update(smaller).state is TrackState.TRACKING
    tracker.release()
    tracker.init(scene(60, 80), BOX)
    assert tracker.update(scene(60, 80)).state is TrackState.TRACKING


@pytest.mark.parametrize("box", [(60, 80, 1.9, 48), (60, 80, 40, 0.5)])
def test_a_box_in_which_there_is_nothing_to_see_is_refused(
    tracker: Tracker, scene: Scene, box: tuple
) -> None:
    with pytest.raises(BoxError, match="at least 2 pixels a side"):
        tracker.init(scene(60, 80), box)
    assert tracker.target_ids == ()


def test_a_bad_init_leaves_the_target_that_is_held(tracker: Tracker, scene: Scene) -> None:
    tracker.init(scene(60, 80), BOX)
    with pytest.raises(BoxError, match="overlaps the 320x240 image"):
        tracker.init(scene(60, 80), (400, 80, 40, 48))
    with pytest.raises(FrameError, match="got uint16"):
        tracker.init(scene(60, 80).astype(np.uint16), BOX)
    with pytest.raises(FrameError, match="got float64"):
        tracker.update(scene(60, 80) / 255)
    assert tracker.update(scene(63, 80)).state is TrackState.TRACKING


def test_frames_that_cannot_be_written_to_are_taken_without_a_warning(
    tracker: Tracker, scene: Scene
) -> None:
    frame = scene(60, 80)
    frame.flags.writeable = False
    grey = np.frombuffer(frame[..., 0].tobytes(), np.uint8).reshape(240, 320)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for each in (frame, frame[..., ::-1], grey):
            tracker.init(each, BOX)
            tracker.update(each)
    assert not frame.flags.writeable


def test_grey_and_four_channel_frames(tracker: Tracker, scene: Scene) -> None:
    tracker.init(scene(60, 80)[..., 0], BOX)
    assert tracker.update(scene(64, 80)[..., 0]).state is TrackState.TRACKING
    rgba = np.dstack((scene(60, 80), np.full((240, 320), 255, np.uint8)))
    tracker.init(rgba, BOX)
    with_alpha = tracker.update(rgba)
    tracker.init(scene(60, 80), BOX)
    assert tracker.update(scene(60, 80)) == with_alpha


@pytest.mark.parametrize(
    "box",
    [
        *((5, 5, 3, 3), (5, 5, 2, 2), (0, 0, 320, 240)),
        *((100, 50, 5, 40), (100, 50, 120, 15), (-20, 100, 40, 40)),
    ],
    ids=["3 px", "2 px", "whole image", "1:8", "8:1", "half outside"],
)
def test_extreme_boxes_give_finite_tracks(model: DCFSTNet, scene: Scene, box: tuple) -> None:
    tracker = Tracker(model, TrackerConfig.fast())
    tracker.init(scene(60, 80), box)
    for frame in (scene(62, 80), np.zeros((240, 320, 3), np.uint8), scene(64, 80)):
        track = tracker.update(frame)
        assert np.isfinite(track.box_xywh).all()
        assert 0 <= track.score <= track.presence <= 1
        assert min(track.box_xywh[2:]) > 0


def test_while_lost_the_last_seen_box_stands_beside_the_guess(
    tracker: Tracker, scene: Scene
) -> None:
    first = tracker.init(scene(60, 80), BOX)
    assert first.last_seen_box_xywh == first.box_xywh == (60.0, 80.0, 40.0, 48.0)
    seen = tracker.update(scene(64, 82))
    assert seen.last_seen_box_xywh == seen.box_xywh != first.box_xywh
    never = {"tracking_threshold": 1.0, "learning_threshold": 1.0, "lost_threshold": 1.0}
    # The drawn background has so little in it that the target's motion would be the camera's.
    tracker.config = replace(CONFIG, **never, lost_after=1, camera_motion=False)
    for step in range(3):
        track = tracker.update(scene(68 + 4 * step, 84))
        assert track.state is TrackState.LOST
        assert track.last_seen_box_xywh == seen.box_xywh
