"""Where a target is looked for: around its box, and while it is lost, in the end everywhere."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dcfst_core.inference.iou_field import Guide
from dcfst_core.network.embedding import RegressorKernel
from dcfst_core.network.samples import SampleGrid
from dcfst_core.track import TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.judgement import Belief
from dcfst_core.tracking.memory import start_memory
from dcfst_core.tracking.motion import Motion
from dcfst_core.tracking.patch import SearchRegion
from dcfst_core.tracking.search import Plan, look_around, make_plan
from dcfst_core.tracking.shape import Shape
from dcfst_core.tracking.target import Model, Target

WIDTH, HEIGHT = 640, 480
BOX = (100.0, 100.0, 20.0, 20.0)
CONFIG = TrackerConfig(lost_search_tiles=2)


def make_target(state: TrackState = TrackState.LOST, motion: Motion | None = None) -> Target:
    """A target of which only place and state count here."""
    zero = torch.zeros(1)
    memory = start_memory(torch.zeros(1, 4, 2), torch.zeros(1, 4), CONFIG)
    return Target(
        target_id="a",
        box_xywh=BOX,
        model=Model(memory, RegressorKernel(zero, zero, zero)),
        guide=Guide(zero, zero, zero, zero),
        looks=None,
        palette=None,
        motion=motion or replace(Motion.start(BOX), step=0.1),
        shape=Shape.start(*BOX[2:]),
        belief=Belief(state, 0.0, 0.0),
        last_seen_box_xywh=BOX,
    )


def unseen(motion: Motion, frames: int) -> Motion:
    return replace(motion, frames_unseen=frames)


def plan_of(target: Target, config: TrackerConfig = CONFIG) -> Plan:
    grid = SampleGrid(config.grid_size, config.grid_spacing, config.patch_size)
    return make_plan(target, WIDTH, HEIGHT, grid, config)


def covered(region: SearchRegion, points: np.ndarray, config: TrackerConfig) -> np.ndarray:
    """Which of some image points (N, 2) lie within a region's grid of samples."""
    half = (config.grid_size - 1) / 2 * config.grid_spacing / region.scale
    centre = (region.centre_x, region.centre_y)
    return (np.abs(points - centre) <= half + 1e-6).all(axis=1)


def frame_points() -> np.ndarray:
    xs, ys = np.meshgrid(np.arange(0, WIDTH + 1, 8), np.arange(0, HEIGHT + 1, 8))
    return np.column_stack((xs.ravel(), ys.ravel())).astype(float)


def test_a_target_in_view_is_searched_around_its_box_only() -> None:
    for state, limited in ((TrackState.TRACKING, False), (TrackState.UNCERTAIN, True)):
        plan = plan_of(make_target(state))
        (region,) = plan.regions
        assert (region.centre_x, region.centre_y, region.side) == (110.0, 110.0, 100.0)
        assert math.isfinite(plan.reach) is limited
        assert plan.expected_xy == (110.0, 110.0)


def test_a_plan_changes_nothing() -> None:
    target = make_target(motion=unseen(Motion.start(BOX), 100))
    before = copy.copy(target.__dict__)
    assert plan_of(target) == plan_of(target)
    assert target.__dict__ == before


@pytest.mark.parametrize("tiles", [0, 1, 2, 5])
@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_the_cost_of_a_lost_target_is_bounded(tiles: int, drift: float) -> None:
    config = replace(CONFIG, lost_search_tiles=tiles)
    target = make_target(motion=replace(Motion.start(BOX), drift_x=drift))
    most = 0
    for frames in range(200):
        target.motion = unseen(target.motion, frames)
        plan = plan_of(target, config)
        assert 1 <= len(plan.regions) <= 1 + tiles
        first = plan.regions[0]
        assert (first.centre_x, first.centre_y) == (110.0, 110.0)
        most = max(most, len(plan.regions))
        target.next_tile = plan.next_tile
    assert most == 1 + tiles


CONFIGS = {
    "default": CONFIG,
    "fast": TrackerConfig.fast(),
    "nano": TrackerConfig.nano(),
    "grid 21": replace(CONFIG, grid_size=21),
    "grid 15": replace(CONFIG, grid_size=15),
    "one tile": replace(CONFIG, lost_search_tiles=1),
    "five tiles": replace(CONFIG, lost_search_tiles=5),
    "no zoom": replace(CONFIG, lost_search_zoom=1.0),
    "wide": replace(CONFIG, search_area_scale=8.0),
}


@pytest.mark.parametrize("frames", [3, 30, 1000])
@pytest.mark.parametrize("drift", [0.0, 0.3], ids=["still", "moving"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_no_place_within_reach_is_left_out(
    config: TrackerConfig, drift: float, frames: int
) -> None:
    motion = replace(Motion.start(BOX), drift_x=drift, drift_y=drift / 2)
    target = make_target(motion=unseen(motion, frames))
    plan = plan_of(target, config)
    points = frame_points()
    within = np.hypot(*(points - plan.expected_xy).T) <= plan.reach
    points = points[within]
    seen = np.zeros(len(points), bool)
    for _ in range(300):
        plan = plan_of(target, config)
        for region in plan.regions:
            seen |= covered(region, points, config)
        target.next_tile = plan.next_tile
    assert seen.all(), f"{100 * (1 - seen.mean()):.0f}% of what is within reach is never searched"


@pytest.mark.parametrize("drift", [0.0, 0.02, 0.3])
def test_the_whole_frame_is_searched_again_and_again_as_time_goes_by(drift: float) -> None:
    """Also while the circle grows and its centre moves."""
    motion = replace(Motion.start(BOX), drift_x=drift)
    target, points = make_target(motion=motion), frame_points()
    last_seen = np.zeros(len(points))
    longest = 0
    for frame in range(600):
        plan = plan_of(target)
        for region in plan.regions:
            last_seen[covered(region, points, CONFIG)] = frame
        last_seen[np.hypot(*(points - plan.expected_xy).T) > plan.reach] = frame
        if frame > 300:
            longest = max(longest, int((frame - last_seen).max()))
        target.next_tile, target.motion = plan.next_tile, target.motion.missed()
    # 63 tiles and two zoomed regions, at least one of them a frame, in turn.
    assert longest <= 2 * 65


def test_a_lost_target_is_searched_no_farther_than_it_may_have_gone() -> None:
    target = make_target(motion=unseen(Motion.start(BOX), 60))
    reach = target.motion.reach(CONFIG.reach)
    assert 100 < reach < 400
    far = 0.0
    for _ in range(40):
        plan = plan_of(target)
        assert plan.reach == pytest.approx(reach)
        for region in plan.regions:
            half = (CONFIG.grid_size - 1) / 2 * CONFIG.grid_spacing / region.scale
            assert abs(region.centre_x - 110) < reach + half
            assert abs(region.centre_y - 110) < reach + half
            far = max(far, abs(region.centre_x - 110))
        target.next_tile = plan.next_tile
    assert far > reach / 2


def test_regions_are_also_taken_larger_and_smaller_where_it_should_be() -> None:
    target, sides = make_target(), set()
    for _ in range(6):
        plan = plan_of(target, replace(CONFIG, lost_search_tiles=1, lost_search_zoom=1.5))
        sides |= {round(region.side, 3) for region in plan.regions}
        assert {(r.centre_x, r.centre_y) for r in plan.regions} == {(110.0, 110.0)}
        target.next_tile = plan.next_tile
    assert sides == {100.0, 150.0, 66.667}
    plan = plan_of(make_target(), replace(CONFIG, lost_search_zoom=1.0))
    assert {region.side for region in plan.regions} == {100.0}


def test_a_target_that_moved_is_looked_for_where_it_should_be_by_now() -> None:
    motion = replace(Motion.start(BOX), drift_x=0.4, frames_unseen=19)
    plan = plan_of(make_target(motion=motion))
    assert plan.expected_xy == pytest.approx((110 + 20 * 0.4 * 20 / 2, 110))
    assert (plan.regions[1].centre_x, plan.regions[1].centre_y) == plan.expected_xy
    gone = plan_of(make_target(motion=replace(motion, frames_unseen=500)))
    assert gone.expected_xy[0] > WIDTH
    assert gone.regions[1].centre_x == WIDTH  # out of the frame there is nothing to see


def test_a_second_look_covers_twice_as_far_without_gaps() -> None:
    target = make_target(TrackState.TRACKING)
    first = plan_of(target)
    grid = SampleGrid(CONFIG.grid_size, CONFIG.grid_spacing, CONFIG.patch_size)
    second = look_around(first, target, grid, CONFIG)
    half = (CONFIG.grid_size - 1) / 2 * CONFIG.grid_spacing / first.regions[0].scale
    line = np.linspace(-1.85 * half, 1.85 * half, 30)
    points = np.array([(110 + x, 110 + y) for x in line for y in line])
    assert np.any([covered(region, points, CONFIG) for region in second.regions], axis=0).all()
    assert {region.side for region in second.regions} == {first.regions[0].side}
    assert math.isfinite(second.reach) and second.expected_xy == first.expected_xy


def test_a_target_in_doubt_has_one_region_beyond_its_reach_in_turn() -> None:
    motion, middles = replace(Motion.start(BOX), step=0.1), set()
    grid = SampleGrid(CONFIG.grid_size, CONFIG.grid_spacing, CONFIG.patch_size)
    half = (CONFIG.grid_size - 1) / 2 * CONFIG.grid_spacing / (CONFIG.patch_size / 100)
    for state in (TrackState.UNCERTAIN, TrackState.LOST):
        for frames in range(1, 16):
            plan = plan_of(make_target(state, unseen(motion, frames)))
            assert plan.beyond is not None and plan.looked_at == (*plan.regions, plan.beyond)
            region = plan.beyond
            away = np.subtract((region.centre_x, region.centre_y), plan.expected_xy)
            assert np.hypot(*(np.abs(away) + half)) > plan.reach  # some of it is out of reach
            assert np.abs(away).max() < plan.reach + 2 * half
            middles.add((region.centre_x, region.centre_y))
    assert len(middles) > 8
    again = look_around(plan, make_target(), grid, CONFIG)
    assert again.beyond is None and again.looked_at == again.regions


@pytest.mark.parametrize(
    ("state", "changed", "tiles"),
    [
        (TrackState.TRACKING, {"frames_unseen": 1}, 2),
        (TrackState.LOST, {"frames_unseen": 21}, 2),  # it may have gone there by now
        (TrackState.LOST, {"frames_unseen": 5, "blind": 0.3}, 2),  # or the camera moved it there
        (TrackState.LOST, {"frames_unseen": 5}, 0),  # one region is all that may be looked at
        (TrackState.LOST, {"frames_unseen": 5, "size": 300.0}, 2),  # nothing is beyond
    ],
    ids=["seen", "late", "blind", "no tiles", "large"],
)
def test_nothing_is_beyond_its_reach(
    state: TrackState, changed: dict[str, float], tiles: int
) -> None:
    target = make_target(state, replace(Motion.start(BOX), **changed))
    plan = plan_of(target, replace(CONFIG, lost_search_tiles=tiles))
    assert plan.beyond is None and plan.looked_at == plan.regions
