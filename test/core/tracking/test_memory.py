"""What a target's regressor remembers: the paper's running mean, and weighted least squares."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dcfst_core.errors import SolverError
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.memory import GramMemory, SampleMemory, compounded, start_memory

LAMBDA = 0.1


def samples(seed: int, copies: int = 1, count: int = 20) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(copies, count, 8, generator=generator),
        torch.rand(copies, count, generator=generator),
    )


def average(**values: float) -> TrackerConfig:
    plain = {"memory": "average", "update_grid_stride": 1, "recent_share": 0.0}
    return TrackerConfig.from_dict(
        {**plain, "first_frame_share": 0.0, "learning_rate": 0.1, **values}
    )


def gram(**values: float) -> TrackerConfig:
    plain = {"memory": "gram", "first_frame_share": 0.0, "recent_share": 0.0}
    return TrackerConfig.from_dict({**plain, "learning_rate": 0.3, **values})


def least_squares(
    parts: list[tuple[float, Tensor, Tensor]], weights: Tensor | None = None
) -> np.ndarray:
    """argmin sum_k c_k |X_k w - y_k|^2 + lambda |w|^2 in float64, by plain least squares.

    `parts`: (c_k, X_k (N, D), y_k (N,)); `weights`: (N,) of the samples of the last part.
    """
    rows, values = [], []
    for index, (share, x, y) in enumerate(parts):
        root = np.full(len(x), np.sqrt(share))
        if weights is not None and index == len(parts) - 1:
            root = root * np.sqrt(weights.double().numpy())
        rows.append(x.double().numpy() * root[:, None])
        values.append(y.double().numpy() * root)
    rows.append(np.sqrt(LAMBDA) * np.eye(8))
    values.append(np.zeros(8))
    return np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]


def solved(memory: SampleMemory, config: TrackerConfig, anchored: bool = False) -> np.ndarray:
    regressor = memory.solve(config, anchored)
    assert regressor.shape == (1, 8)
    return regressor[0].double().numpy()


def test_average_memory_is_the_papers_running_mean() -> None:
    frames = [samples(seed) for seed in range(3)]
    config = average()
    memory = start_memory(*frames[0], config)
    mean_x, mean_y = (part[0].double() for part in frames[0])
    for x, y in frames[1:]:
        memory.add(x, y, 1, config)
        mean_x = (1 - 0.1) * mean_x + 0.1 * x[0].double()  # paper Eq. 6
        mean_y = (1 - 0.1) * mean_y + 0.1 * y[0].double()
    assert solved(memory, config) == pytest.approx(
        least_squares([(1.0, mean_x, mean_y)]), abs=1e-5
    )


def test_average_memory_begins_with_the_mean_of_the_copies() -> None:
    x, y = samples(0, copies=3)
    expected = least_squares([(1.0, x.mean(dim=0), y.mean(dim=0))])
    config = average()
    assert solved(start_memory(x, y, config), config) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("rate", [0.3, 0.999])
def test_average_memory_keeps_a_floor_for_the_first_frame(rate: float) -> None:
    (x1, y1), (x2, y2) = samples(0), samples(1)
    config = average(learning_rate=rate, first_frame_share=0.5)
    memory = start_memory(x1, y1, config)
    memory.add(x2, y2, 1, config)
    share = max(1 - rate, 0.5)  # above its floor the first frame fades as in the paper
    mean_x, mean_y = share * x1[0] + (1 - share) * x2[0], share * y1[0] + (1 - share) * y2[0]
    assert solved(memory, config) == pytest.approx(
        least_squares([(1.0, mean_x, mean_y)]), abs=1e-4
    )


def test_gram_memory_is_least_squares_with_the_shares_that_the_settings_name() -> None:
    config = gram(first_frame_share=0.2, recent_share=0.3, learning_rate=0.1, recent_rate=0.6)
    frames = [samples(seed) for seed in range(3)]
    memory = start_memory(*frames[0], config)
    for x, y in frames[1:]:
        memory.add(x, y, 1, config)
    lasting = [0.9 * 0.9, 0.1 * 0.9, 0.1]
    recent = [0.4 * 0.4, 0.6 * 0.4, 0.6]
    shares = [0.5 * a + 0.3 * b for a, b in zip(lasting, recent, strict=True)]
    shares[0] += 0.2
    assert sum(shares) == pytest.approx(1.0)
    parts = [(c, x[0], y[0]) for c, (x, y) in zip(shares, frames, strict=True)]
    assert solved(memory, config) == pytest.approx(least_squares(parts), abs=1e-5)


def test_an_anchored_solution_is_one_without_the_newest_frames_part() -> None:
    config = gram(first_frame_share=0.2, recent_share=0.3, learning_rate=0.1, recent_rate=0.6)
    (x1, y1), (x2, y2) = samples(0), samples(1)
    memory = start_memory(x1, y1, config)
    memory.add(x2, y2, 1, config)
    before = solved(memory, config)
    parts = [(0.2 + 0.8 * 0.9, x1[0], y1[0]), (0.8 * 0.1, x2[0], y2[0])]
    assert solved(memory, config, anchored=True) == pytest.approx(least_squares(parts), abs=1e-5)
    assert np.array_equal(
        solved(memory, config), before
    )  # solving leaves what is remembered as it is


def test_gram_memory_weighs_the_copies_of_the_first_frame_as_one_frame() -> None:
    (x1, y1), (x2, y2) = samples(0, copies=2), samples(1)
    config = gram()
    memory = start_memory(x1, y1, config)
    memory.add(x2, y2, 1, config)
    parts = [(0.35, x1[0], y1[0]), (0.35, x1[1], y1[1]), (0.3, x2[0], y2[0])]
    assert solved(memory, config) == pytest.approx(least_squares(parts), abs=1e-5)


def test_gram_memory_weighs_a_frame_the_same_with_fewer_samples() -> None:
    (x1, y1), (x2, y2) = samples(0), samples(1, count=5)
    config = gram()
    memory = start_memory(x1, y1, config)
    memory.add(x2, y2, 1, config)
    parts = [(0.7, x1[0], y1[0]), (0.3 * 20 / 5, x2[0], y2[0])]
    assert solved(memory, config) == pytest.approx(least_squares(parts), abs=1e-5)


def test_gram_memory_weighs_a_first_frame_of_fewer_samples_as_a_whole_one() -> None:
    (x1, y1), (x2, y2) = samples(0, copies=2, count=5), samples(1)
    config = gram()
    memory = start_memory(x1, y1, config, samples=20)
    memory.add(x2, y2, 1, config)
    each = 0.35 * 20 / 5
    parts = [(each, x1[0], y1[0]), (each, x1[1], y1[1]), (0.3, x2[0], y2[0])]
    assert solved(memory, config) == pytest.approx(least_squares(parts), abs=1e-5)


def test_gram_memory_knows_weights_of_single_samples() -> None:
    (x1, y1), (x2, y2) = samples(0), samples(1)
    weight = torch.ones(1, 20)
    weight[0, 3:7] = 4.0
    config = gram()
    memory = start_memory(x1, y1, config)
    memory.add(x2, y2, 1, config, weight)
    parts = [(0.7, x1[0], y1[0]), (0.3, x2[0], y2[0])]
    expected = least_squares(parts, weight[0])
    assert solved(memory, config) == pytest.approx(expected, abs=1e-5)
    assert np.abs(expected - least_squares(parts)).max() > 1e-3


@pytest.mark.parametrize("kind", [average, gram])
def test_a_frame_that_stands_for_several_weighs_as_if_it_came_as_often(kind: object) -> None:
    assert compounded(0.1, 1) == pytest.approx(0.1)
    assert compounded(0.1, 3) == pytest.approx(1 - 0.9**3)
    config = kind(learning_rate=0.1)  # type: ignore[operator]
    (x1, y1), (x2, y2) = samples(0), samples(1)
    at_once, in_turn = (start_memory(x1, y1, config) for _ in range(2))
    at_once.add(x2, y2, 4, config)
    for _ in range(4):
        in_turn.add(x2, y2, 1, config)
    assert solved(at_once, config) == pytest.approx(solved(in_turn, config), abs=1e-5)


@pytest.mark.parametrize("kind", [average, gram])
def test_to_forget_is_to_go_back_to_the_first_frame(kind: object) -> None:
    config = kind()  # type: ignore[operator]
    (x1, y1), (x2, y2) = samples(0), samples(1)
    memory, untouched = (start_memory(x1, y1, config) for _ in range(2))
    memory.add(x2, y2, 3, config)
    assert np.abs(solved(memory, config) - solved(untouched, config)).max() > 1e-3
    memory.forget()
    assert np.array_equal(solved(memory, config), solved(untouched, config))
    for each in (memory, untouched):
        each.add(x2, y2, 2, config)
    assert np.array_equal(solved(memory, config), solved(untouched, config))


@pytest.mark.parametrize("kind", [average, gram])
def test_the_settings_of_each_call_count(kind: object) -> None:
    """A memory outlives a change of the settings, so it keeps none of its own."""
    config, other = kind(), kind(learning_rate=0.6, regularization=0.7)  # type: ignore[operator]
    (x1, y1), (x2, y2) = samples(0), samples(1)
    memory, begun_otherwise = start_memory(x1, y1, config), start_memory(x1, y1, other)
    for each in (memory, begun_otherwise):
        each.add(x2, y2, 1, other)
    assert np.array_equal(solved(memory, other), solved(begun_otherwise, other))
    assert np.abs(solved(memory, config) - solved(memory, other)).max() > 1e-3


def test_a_restored_memory_knows_the_lasting_part_and_no_newest_frames() -> None:
    config = gram(first_frame_share=0.2, recent_share=0.3, learning_rate=0.1, recent_rate=0.6)
    (x1, y1), (x2, y2), (x3, y3) = (samples(seed) for seed in range(3))
    memory = start_memory(x1, y1, config)
    assert isinstance(memory, GramMemory)
    memory.add(x2, y2, 4, config)
    anchored = solved(memory, config, anchored=True)
    restored = GramMemory.restored(memory.first, memory.lasting, memory.frames, samples=20)
    assert restored.frames == 4
    assert solved(restored, config) == pytest.approx(anchored, abs=1e-5)
    memory.add(x3, y3, 1, config)  # what it was made of is its own
    assert solved(restored, config) == pytest.approx(anchored, abs=1e-5)
    restored.add(x3, y3, 1, config)
    assert restored.frames == 5
    assert torch.allclose(restored.lasting.gram, memory.lasting.gram)
    restored.forget()
    assert restored.frames == 0
    assert solved(restored, config) == pytest.approx(
        solved(start_memory(x1, y1, config), config), abs=1e-5
    )


@pytest.mark.parametrize("kind", [average, gram])
def test_samples_that_are_not_finite_are_said_and_can_be_forgotten(kind: object) -> None:
    config = kind()  # type: ignore[operator]
    memory = start_memory(*samples(0), config)
    expected = solved(memory, config)
    x, y = samples(1)
    memory.add(x * float("nan"), y, 1, config)
    with pytest.raises(SolverError, match="samples finite: False"):
        memory.solve(config)
    memory.forget()
    assert np.array_equal(solved(memory, config), expected)
