"""What a target remembers (paper Eq. 6-7), and when it counts as seen, uncertain or lost."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from dcfst_core.network.embedding import RegressorKernel
from dcfst_core.network.ridge import ridge_solve
from dcfst_core.track import Signals, TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.memory import SampleMemory
from dcfst_core.tracking.patch import SearchRegion
from dcfst_core.tracking.search import choose_regions
from dcfst_core.tracking.target import Target


def samples(seed: int, copies: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(copies, 20, 8, generator=generator),
        torch.rand(copies, 20, generator=generator),
    )


def test_average_memory_is_the_papers_running_mean() -> None:
    memory = SampleMemory("average", first_frame_floor=0.0)
    (x1, y1), (x2, y2), (x3, y3) = (samples(seed) for seed in range(3))
    memory.start(x1, y1)
    memory.add(x2, y2, 0.1)
    memory.add(x3, y3, 0.1)
    mean_x = 0.9 * (0.9 * x1 + 0.1 * x2) + 0.1 * x3
    mean_y = 0.9 * (0.9 * y1 + 0.1 * y2) + 0.1 * y3
    expected = ridge_solve(mean_x, mean_y, 0.1)
    assert torch.allclose(memory.solve(0.1), expected, atol=1e-5)


def test_gram_memory_is_weighted_least_squares_over_all_frames() -> None:
    memory = SampleMemory("gram", first_frame_floor=0.0)
    (x1, y1), (x2, y2) = samples(0, copies=2), samples(1)
    memory.start(x1, y1)
    memory.add(x2, y2, 0.3)
    weights = [0.35**0.5, 0.35**0.5, 0.3**0.5]
    rows = torch.cat((x1 * weights[0], x2 * weights[2]), dim=0).flatten(0, 1)
    labels = torch.cat((y1 * weights[0], y2 * weights[2]), dim=0).flatten()
    expected = ridge_solve(rows[None], labels[None], 0.1)
    assert torch.allclose(memory.solve(0.1), expected, atol=1e-4)


def test_gram_memory_weighs_a_frame_the_same_with_fewer_samples() -> None:
    whole, half = (SampleMemory("gram", first_frame_floor=0.0) for _ in range(2))
    (x1, y1), (x2, y2) = samples(0), samples(1)
    for memory in (whole, half):
        memory.start(x1, y1)
    whole.add(torch.cat((x2, x2), dim=1), torch.cat((y2, y2), dim=1), 0.3)
    half.add(x2, y2, 0.3)
    assert torch.allclose(whole.solve(0.1), half.solve(0.1), atol=1e-5)


@pytest.mark.parametrize("kind", ["average", "gram"])
def test_first_frame_keeps_its_floor(kind: str) -> None:
    memory = SampleMemory(kind, first_frame_floor=0.5)
    without = SampleMemory(kind, first_frame_floor=0.0)
    (x1, y1), (x2, y2) = samples(0), samples(1)
    for each, rate in ((memory, 0.999), (without, 0.5)):
        each.start(x1, y1)
        each.add(x2, y2, rate)
    # However fast it forgets, half of the model stays the first frame.
    assert torch.allclose(memory.solve(0.1), without.solve(0.1), atol=5e-3)


def make_target(state: TrackState = TrackState.TRACKING) -> Target:
    kernel = RegressorKernel(torch.zeros(1), torch.zeros(1), torch.zeros(1))
    memory = SampleMemory("average", 0.0)
    vectors = (torch.zeros(1), torch.zeros(1))
    box = (100.0, 100.0, 20.0, 20.0)
    return Target("a", box, memory, kernel, vectors, state, usual_score=1.0)


def find(peak: float, predicted_iou: float = float("nan")) -> Signals:
    return Signals(peak, -0.1, predicted_iou)  # nothing else in the region looks like it


CONFIG = TrackerConfig(
    uncertain_threshold=0.25,
    target_not_found_threshold=0.15,
    lost_after=3,
    reaccept_threshold=0.5,
    reaccept_frames=2,
)


def states(target: Target, scores: list[float]) -> list[str]:
    result = []
    for score in scores:
        target.judge(find(score), CONFIG)
        result.append(target.state.value)
    return result


def test_lost_only_after_several_frames_without_a_sighting() -> None:
    assert states(make_target(), [0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1]) == [
        "tracking",
        "uncertain",
        "uncertain",
        "tracking",
        "uncertain",
        "uncertain",
        "lost",
    ]


def test_lost_target_is_not_taken_up_again_at_the_first_likeness() -> None:
    target = make_target(TrackState.LOST)
    # 0.4 would do for a tracked target; 0.6 must come twice in a row.
    assert states(target, [0.4, 0.4, 0.4, 0.6, 0.4, 0.6, 0.6]) == ["lost"] * 6 + ["tracking"]


def test_a_lost_target_is_not_taken_up_again_if_it_looks_otherwise() -> None:
    target = make_target(TrackState.LOST)
    for likeness, state in ((0.5, "lost"), (0.5, "lost"), (0.7, "lost"), (0.7, "tracking")):
        target.judge(Signals(1.0, 0.0, 1.0, likeness=likeness), CONFIG)
        assert target.state.value == state


def test_after_a_doubt_a_find_is_not_learned_at_once() -> None:
    target = make_target()
    target.frames_since_update = CONFIG.update_interval
    target.judge(find(0.1), CONFIG)
    assert target.state is TrackState.UNCERTAIN
    learns = []
    for _ in range(CONFIG.reaccept_frames + 1):
        target.judge(find(0.55), CONFIG)
        learns.append(target.needs_update(CONFIG))
    assert learns == [False] * CONFIG.reaccept_frames + [True]


def test_in_the_paper_nothing_is_ever_in_doubt() -> None:
    target = make_target()
    for peak in (0.9, 0.0, -0.5, math.nan):
        assert target.judge(find(peak), TrackerConfig.paper())
        assert target.state is TrackState.TRACKING
        assert target.needs_update(TrackerConfig.paper())


def test_a_fading_score_is_learned_from_at_once() -> None:
    target = make_target()
    for peak, urgent in ((0.9, False), (0.4, True), (0.6, False)):
        target.judge(find(peak), CONFIG)
        assert target.needs_update(CONFIG) is urgent
        assert target.urgent is urgent
    never = dataclasses.replace(CONFIG, fading_threshold=0.0)
    target.judge(find(0.4), never)
    assert not target.needs_update(never)


@pytest.mark.parametrize(
    ("looks", "end"),
    [
        (((0.7, 0.9), (0.45, 0.8), (0.35, 0.6)), "tracking"),  # it fades
        (((0.35, 0.9),), "tracking"),  # lower, but it looks the same
        (((0.35, 0.7),), "uncertain"),  # lower and different at once: it was covered
        (((0.35, 0.7), (0.45, 0.7)), "uncertain"),
        (((0.35, 0.7), (0.4, 0.7), (0.6, 0.7)), "tracking"),
    ],
)
def test_a_find_that_falls_is_in_doubt_where_one_that_fades_is_not(
    looks: tuple[tuple[float, float], ...], end: str
) -> None:
    target = make_target()
    for share, likeness in looks:
        target.judge(Signals(share / likeness, 0.0, 1.0, likeness=likeness), CONFIG)
    assert target.state.value == end


def test_a_find_far_from_where_a_lost_target_should_be_proves_itself_for_longer() -> None:
    for sizes_away, frames in ((0.0, 2), (1.0, 2), (1.5, 5), (5.0, 7)):
        target = make_target(TrackState.LOST)
        x = 100.0 + 20.0 * sizes_away
        needed = 0
        while target.state is TrackState.LOST:
            if target.judge(find(0.9), CONFIG, (x, 100.0, 20.0, 20.0)):
                target.box_xywh = (x, 100.0, 20.0, 20.0)
            needed += 1
        # The first find is a jump from the last box, so it only begins the count.
        assert needed == frames, sizes_away


def test_beside_a_rival_only_a_usual_look_is_taken_for_the_lost_target() -> None:
    for likeness, state in ((0.7, "lost"), (0.9, "tracking")):
        target = make_target(TrackState.LOST)
        for _ in range(CONFIG.reaccept_frames):
            target.judge(Signals(0.9, 0.6, 1.0, likeness=likeness), CONFIG)
        assert target.state.value == state


@pytest.mark.parametrize(
    ("peak", "second_peak", "predicted_iou", "likeness", "score"),
    [
        (0.8, 0.0, 0.5, 1.0, 0.4),
        (0.8, -0.3, 0.5, 1.0, 0.4),
        (0.8, 0.6, 0.5, 1.0, 0.25),
        (0.8, 0.0, 0.5, 0.25, 0.1),
        (0.2, 0.6, 0.9, 1.0, 0.0),
        (1.3, 0.0, 1.0, 1.0, 1.0),
        (-0.2, -0.3, 0.9, 1.0, 0.0),
        (0.7, 0.0, math.nan, 1.0, 0.7),
        (math.nan, 0.0, 0.9, 1.0, 0.0),
    ],
)
def test_score_is_the_peaks_margin_over_half_a_rival_times_predicted_iou_times_likeness(
    peak: float, second_peak: float, predicted_iou: float, likeness: float, score: float
) -> None:
    target = make_target()
    target.judge(Signals(peak, second_peak, predicted_iou, likeness=likeness), CONFIG)
    assert target.track.score == pytest.approx(score)
    assert target.track.signals == target.signals


@pytest.mark.parametrize(
    ("peak", "state", "follows"),
    [(0.3, "tracking", True), (0.2, "uncertain", True), (0.1, "uncertain", False)],
)
def test_in_doubt_the_box_follows_unless_nothing_was_found(
    peak: float, state: str, follows: bool
) -> None:
    target = make_target()
    assert target.judge(find(peak), CONFIG) is follows
    assert target.state.value == state


def test_the_first_find_sets_what_is_usual_within_bounds() -> None:
    usual = []
    for peak in (0.95, 0.5, 0.05):
        target = make_target()
        target.usual_score = None
        target.judge(find(peak, 1.0), CONFIG)
        usual.append((target.usual_score, target.state.value))
    assert usual == [(pytest.approx(0.68), "tracking"), (0.5, "tracking"), (0.05, "uncertain")]


def test_a_score_counts_relative_to_what_is_usual_for_the_target() -> None:
    weak = make_target()
    weak.usual_score = 0.5
    assert states(weak, [0.2]) == ["tracking"]  # 0.4 of the usual score
    assert states(make_target(), [0.2]) == ["uncertain"]


def test_the_usual_score_follows_updates_alone_and_keeps_a_floor() -> None:
    target = make_target()
    target.judge(find(0.5), CONFIG)
    assert target.usual_score == 1.0
    for _ in range(200):
        target.judge(find(0.09), CONFIG)
        target.frames_since_update = 5
        target.learned()
    assert target.usual_score == pytest.approx(0.09, abs=0.01)
    target.judge(find(0.07), CONFIG)  # 0.233 of the floor 0.3
    assert target.state is not TrackState.TRACKING


def test_a_target_lost_for_long_is_searched_over_the_whole_frame_in_turn() -> None:
    target = make_target(TrackState.LOST)
    target.motion.frames_unseen = 1000
    seen: list[SearchRegion] = []
    for _ in range(32):
        regions = choose_regions(target, 640, 480, CONFIG)
        assert len(regions) == 3  # bounded: the last place and two tiles
        assert {region.side for region in regions} == {100.0}
        seen += regions[1:]
    for x in range(5, 640, 30):
        for y in range(5, 480, 30):
            nearest = min(max(abs(r.centre_x - x), abs(r.centre_y - y)) for r in seen)
            assert nearest <= 42, f"({x}, {y}) lies in no search region"


def test_a_lost_target_is_searched_no_farther_than_it_may_have_gone() -> None:
    target = make_target(TrackState.LOST)
    target.motion.frames_unseen = 2
    (home,) = choose_regions(target, 640, 480, CONFIG)
    assert (home.centre_x, home.centre_y) == (110.0, 110.0)
    target.motion.frames_unseen = 50
    reach = target.reach(CONFIG)
    assert 40 < reach < 120
    for _ in range(10):
        for region in choose_regions(target, 640, 480, CONFIG):
            assert abs(region.centre_x - 110) < reach + 42
            assert abs(region.centre_y - 110) < reach + 42


def test_a_tracked_target_is_searched_around_its_box_only() -> None:
    (region,) = choose_regions(make_target(), 640, 480, CONFIG)
    assert (region.centre_x, region.centre_y, region.side) == (110.0, 110.0, 100.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 1.5}, r"learning_rate: expected 0.0 to 1.0, got 1.5"),
        ({"memory": "average"}, "update_grid_stride: expected 1 with memory = average"),
        ({"grid_size": 31.0}, "grid_size: expected int, got 31.0"),
        ({"box_refinement": 1}, "box_refinement: expected bool, got 1"),
        ({"memory": "all"}, r"memory: expected one of .*'gram'.*, got 'all'"),
        ({"patch_size": 290}, "patch_size: expected a multiple of 16, got 290"),
        ({"num_averaged": 11}, "num_averaged: expected at most num_proposals = 7, got 11"),
        (
            {"lambda": 0.1},
            r"unknown tracker settings \['lambda'\]; known ones: \[.*regularization",
        ),
    ],
)
def test_config_refuses_what_makes_no_sense(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrackerConfig.from_dict(values)


def test_config_round_trip() -> None:
    for config in (TrackerConfig.paper(), TrackerConfig.default()):
        assert TrackerConfig.from_dict(config.to_dict()) == config
