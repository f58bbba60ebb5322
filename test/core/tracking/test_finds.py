"""What was found, from rows on the device to finds on the host, and the evidence that they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small_settings import small_config

from dcfst_core import Tracker, TrackState
from dcfst_core.network.model import DCFSTNet
from dcfst_core.network.samples import SampleGrid
from dcfst_core.tracking.evidence import Means, Usual
from dcfst_core.tracking.finds import (
    Examined,
    Find,
    Found,
    far_peaks,
    other_peaks,
    read_finds,
    weigh,
)
from dcfst_core.tracking.looks import Likeness
from dcfst_core.tracking.patch import SearchRegion, upload_frame
from dcfst_core.tracking.peaks import Peaks
from dcfst_core.tracking.refinement import Refined
from dcfst_core.tracking.rivals import Rival, Rivals
from dcfst_core.tracking.search import make_plan

Scene = Callable[..., np.ndarray]
CONFIG = small_config()
BOX = (60.0, 80.0, 40.0, 48.0)
# Two image pixels for each of the patch, whose middle (104, 104) is at (300, 200); and one to one.
REGIONS = (SearchRegion(300.0, 200.0, 416.0, 208), SearchRegion(50.0, 60.0, 208.0, 208))


def rows(**changed: float) -> tuple[Found, Examined]:
    """What the device gives for both regions; changes are of the first one's numbers."""

    def column(name: str, one: float, other: float) -> torch.Tensor:
        return torch.tensor([changed.get(name, one), other])

    def place(name: str, one: list[float], other: list[float]) -> torch.Tensor:
        return torch.tensor([[changed.get(name, one[0]), *one[1:]], other])

    features = (torch.zeros(2, 4, 3, 3), torch.ones(2, 5, 2, 2))
    peaks = Peaks(
        score=column("peak", 0.8, 0.6),
        centre_xy=place("centre", [114.0, 99.0], [104.0, 104.0]),
        second_score=column("second_peak", 0.3, 0.2),
        second_xy=place("second", [4.0, 204.0], [50.0, 60.0]),
    )
    refined = Refined(
        place("box", [110.0, 100.0, 20.0, 30.0], [104.0, 104.0, 10.0, 10.0]),
        column("predicted_iou", 0.7, 0.5),
        column("box_spread", 0.03, 0.04),
    )
    likeness = Likeness(
        column("likeness_first", 0.4, 0.5),
        column("likeness", 0.9, 0.8),
        column("rival_likeness", 0.2, 0.3),
    )
    descriptor = torch.tensor([[0.6, 0.8], [1.0, 0.0]])
    second = torch.tensor([[0.0, 1.0], [0.8, 0.6]])
    scores = torch.arange(18.0).view(2, 3, 3)
    colours, palette = torch.tensor([0.95, 0.45]), torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    examined = Examined(refined, likeness, descriptor, second, colours, palette)
    return Found(features, features, scores, peaks), examined


def test_a_find_is_told_in_image_pixels() -> None:
    one, other = read_finds(*rows(), REGIONS)
    assert one is not None and other is not None
    assert one.signals == pytest.approx((0.8, 0.3, 0.7, 0.03, 0.4, 0.9, 0.2, 0.95))
    assert one.peak_xy == pytest.approx((320.0, 190.0))
    assert one.second_xy == pytest.approx((100.0, 400.0))
    assert one.box_xywh == pytest.approx((292.0, 162.0, 40.0, 60.0))
    assert other.box_xywh == pytest.approx((45.0, 55.0, 10.0, 10.0))
    assert [find.region for find in (one, other)] == list(REGIONS)
    assert other.features[1].shape == (1, 5, 2, 2)
    assert other.descriptor is not None and other.descriptor.tolist() == [[1.0, 0.0]]
    assert one.second_descriptor is not None and one.second_descriptor.tolist() == [[0.0, 1.0]]
    assert other.palette is not None and other.palette.tolist() == [[0.5, 0.5]]
    assert other.scores.tolist() == [[9.0, 10.0, 11.0], [12.0, 13.0, 14.0], [15.0, 16.0, 17.0]]


def test_without_looks_and_colours_there_is_nothing_to_learn_of_them() -> None:
    found, examined = rows()
    nothing = torch.zeros(2, 0)
    unknown = {"descriptor": nothing, "second_descriptor": nothing, "palette": nothing}
    finds = read_finds(found, examined._replace(**unknown), REGIONS)
    assert [find.descriptor for find in finds if find is not None] == [None, None]
    assert [find.second_descriptor for find in finds if find is not None] == [None, None]
    assert [find.palette for find in finds if find is not None] == [None, None]


def test_a_score_map_covers_the_grid_in_the_image() -> None:
    one, _ = read_finds(*rows(), REGIONS)
    assert one is not None
    shown = one.score_map(SampleGrid(3, 8.0, 208))
    assert shown.area_xywh == pytest.approx((276.0, 176.0, 48.0, 48.0))
    assert shown.scores.tolist() == one.scores.tolist()


@pytest.mark.parametrize(
    "name",
    [
        *("peak", "second_peak", "box_spread", "likeness_first", "likeness"),
        *("rival_likeness", "centre", "second", "box"),
    ],
)
def test_numbers_that_are_none_are_no_find(name: str) -> None:
    """They would not only be no evidence: what is usual for the target would be none for good."""
    one, other = read_finds(*rows(**{name: math.nan}), REGIONS)
    assert one is None and other is not None


@pytest.mark.parametrize(
    ("name", "value"), [("second_peak", -math.inf), ("predicted_iou", math.nan)]
)
def test_what_may_be_missing_is_a_find_all_the_same(name: str, value: float) -> None:
    one, _ = read_finds(*rows(**{name: value}), REGIONS)
    assert one is not None
    assert getattr(one.signals, name) == pytest.approx(value, nan_ok=True)


def test_nothing_within_reach_is_no_find() -> None:
    one, other = read_finds(*rows(peak=-math.inf), REGIONS)
    assert one is None and other is not None


def held(tracker: Tracker, name: str = "target") -> Any:
    return tracker._targets[name]


def test_the_evidence_is_the_signals_and_how_they_fit_what_is_known(
    model: DCFSTNet, scene: Scene
) -> None:
    tracker = Tracker(model, CONFIG)
    tracker.init(scene(60, 80), BOX)
    target = held(tracker)
    assert target.motion.expected() == (80.0, 104.0)
    find, _ = read_finds(*rows(), REGIONS)
    assert find is not None
    placed = replace(find, box_xywh=(80.0 + 30 - 30, 104.0 - 40 - 18, 60.0, 36.0))
    evidence = weigh(placed, target)
    assert (evidence.peak, evidence.likeness) == pytest.approx((0.8, 0.9))
    assert evidence.rival_likeness == pytest.approx(0.2)
    assert evidence.distance == pytest.approx(50 / (3 * math.sqrt(40 * 48)))  # it may be fast
    assert evidence.rival_nearness == 0.0
    target.rivals = Rivals((Rival(*placed.peak_xy),))
    elsewhere = 1 - math.exp(-0.5 * (evidence.distance / 0.5) ** 2)
    assert weigh(placed, target).rival_nearness == pytest.approx(elsewhere)
    # However long the target was away: where the rival stands is known.
    target.motion = replace(target.motion, frames_unseen=100)
    assert weigh(placed, target).distance < evidence.distance / 3
    assert weigh(placed, target).rival_nearness == pytest.approx(elsewhere)
    # They cross: the target is where it should be, whoever stood there.
    x, y = target.motion.expected()
    there = replace(placed, box_xywh=(x - 20, y - 24, 40.0, 48.0))
    assert weigh(there, target).rival_nearness == 0.0
    wider, taller = math.log(60 / 40), math.log(36 / 48)
    assert evidence.size_change == pytest.approx(abs(wider + taller) / 2)
    assert evidence.aspect_change == pytest.approx(wider - taller)


def finds_of(tracker: Tracker, frame: np.ndarray) -> list[list[Find]]:
    targets = list(tracker._targets.values())
    plans = [make_plan(each, 320, 240, tracker._grid, tracker.config) for each in targets]
    with torch.no_grad():
        image = upload_frame(frame, tracker.device)
        return tracker._localiser.find(image, targets, plans)


def test_each_target_gets_the_finds_of_its_own_regions(model: DCFSTNet, scene: Scene) -> None:
    """One of them in view, in one region; the other one lost, in several."""
    tracker = Tracker(model, replace(CONFIG, lost_search_tiles=3))
    frame = scene(60, 80)
    for name, box in (("seen", BOX), ("lost", (200.0, 60.0, 50.0, 30.0))):
        tracker.init(frame, box, name)
    lost = held(tracker, "lost")
    lost.belief = replace(lost.belief, state=TrackState.LOST, presence=0.0)
    lost.motion = replace(lost.motion, frames_unseen=50)
    of_seen, of_lost = finds_of(tracker, frame)
    (find,) = of_seen
    assert np.abs(np.subtract(find.peak_xy, (80, 104))).max() < 3
    regions = {(find.region.centre_x, find.region.centre_y, find.region.side) for find in of_lost}
    assert len(regions) == len(of_lost) == 4
    side = 4 * math.sqrt(50 * 30)
    assert (225.0, 75.0, side) in regions
    best = max(of_lost, key=lambda find: find.signals.peak)
    assert np.abs(np.subtract(best.peak_xy, (225, 75))).max() < 5


def test_nothing_within_reach_of_any_region_leaves_no_find(model: DCFSTNet, scene: Scene) -> None:
    tracker = Tracker(model, replace(CONFIG, lost_search_tiles=0))
    tracker.init(scene(60, 80), BOX)
    target = held(tracker)
    target.belief = replace(target.belief, state=TrackState.UNCERTAIN)
    assert len(finds_of(tracker, scene(60, 80))[0]) == 1
    target.motion = replace(target.motion, x=5000.0)
    assert finds_of(tracker, scene(60, 80)) == [[]]


def test_other_peaks_are_those_of_some_height_that_were_not_chosen() -> None:
    one, _ = read_finds(*rows(), REGIONS)
    assert one is not None
    low = replace(one, signals=one.signals._replace(second_peak=0.05 * one.signals.peak))
    half = one.signals._replace(peak=one.signals.peak / 2, second_peak=-math.inf)
    other = replace(one, signals=half, peak_xy=(7.0, 9.0))
    (second,) = other_peaks([one], one)
    assert second[:2] == one.second_xy and second.descriptor is one.second_descriptor
    assert second.is_rival
    faint = replace(one, signals=one.signals._replace(second_peak=0.15 * one.signals.peak))
    assert [other.is_rival for other in other_peaks([faint], faint)] == [False]
    assert other_peaks([low], low) == ()
    (find,) = other_peaks([low, other], low)
    assert find[:2] == (7.0, 9.0) and find.descriptor is other.descriptor
    # What looks like the target itself may be the target: no rival has moved there.
    unknown = replace(other, signals=half._replace(rival_likeness=half.likeness - 0.1))
    assert [found.is_rival for found in other_peaks([low, other], low)] == [False]
    assert [found.is_rival for found in other_peaks([low, unknown], low)] == [True]


def test_far_peaks_are_those_where_the_target_cannot_be(model: DCFSTNet, scene: Scene) -> None:
    tracker = Tracker(model, CONFIG)
    tracker.init(scene(60, 80), BOX)
    target = held(tracker)
    one, _ = read_finds(*rows(), REGIONS)
    assert one is not None and target.motion.expected() == (80.0, 104.0)
    first, second = far_peaks([one], None, target, 100.0)
    assert (first[:2], second[:2]) == (one.peak_xy, one.second_xy)
    assert first.is_rival and first.descriptor is one.descriptor
    # The first is 255 px away, the second 297; half a size more than the reach are 22.
    assert far_peaks([one], None, target, 240.0) == (second,)
    assert far_peaks([one], None, target, 280.0) == ()
    # A second look around may have chosen it.
    assert far_peaks([one], one, target, 100.0) == (second,)
    usual = Usual(sure=Means(2.0, 0.9))
    target.belief = replace(target.belief, usual=usual)
    assert far_peaks([one], None, target, 100.0) == (first,)  # 0.3 is little beside 2
