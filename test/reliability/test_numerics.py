"""Numbers at their limits: half precision, none, singular, denormal. States stay honest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_settings import small_config

from dcfst_core import Tracker, TrackerConfig, TrackState
from dcfst_core.errors import SolverError
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.network.checkpoint import load_model
from dcfst_core.network.model import DCFSTNet
from dcfst_core.network.ridge import ridge_solve, solve_normal_equations
from dcfst_core.track import Track

CLIP = SyntheticClip(frames=12, size=(320, 240), target=(40, 48), period=120)
FRAMES, BOX = list(CLIP), tuple(CLIP.boxes_xywh()[0])
FULL = small_config(box_refinement=True, augment_first_frame=True, update_interval=1)
SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> DCFSTNet:
    """The network that is shipped."""
    return load_model()


def follow(model: DCFSTNet, config: TrackerConfig, frames: list[np.ndarray]) -> list[Track]:
    tracker = Tracker(model, config)
    return [tracker.init(frames[0], BOX), *(tracker.update(frame) for frame in frames[1:])]


def assert_finite(tracks: list[Track]) -> None:
    for track in tracks:
        assert np.isfinite([*track.box_xywh, track.score, track.presence]).all(), track
        assert 0 <= track.score <= 1 and 0 <= track.presence <= 1 and min(track.box_xywh[2:]) > 0
        if track.evidence is not None:
            numbers = [v for k, v in vars(track.evidence).items() if k != "predicted_iou"]
            assert np.isfinite(numbers).all(), track.evidence


@pytest.mark.fault("frames of zero variance, from the first on")
@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("memory", ["gram", pytest.param("average", marks=SLOW)])
def test_frames_of_one_value_give_finite_scores(model: DCFSTNet, value: int, memory: str) -> None:
    config = FULL
    if memory == "average":
        config = replace(FULL, memory="average", update_grid_stride=1, recent_share=0.0)
    flat = np.full_like(FRAMES[0], value)
    assert_finite(follow(model, config, [flat] * 5))


@pytest.mark.fault("a picture that goes black and comes back")
def test_black_frames_are_not_taken_for_the_target_and_it_is_found_after_them(
    model: DCFSTNet,
) -> None:
    black = np.zeros_like(FRAMES[0])
    tracks = follow(model, FULL, [*FRAMES[:4], *[black] * 8, *FRAMES[4:]])
    assert_finite(tracks)
    assert tracks[3].state is TrackState.TRACKING
    assert all(track.state is not TrackState.TRACKING for track in tracks[8:12])
    assert tracks[11].score < 0.3
    assert tracks[-1].state is TrackState.TRACKING


@pytest.mark.fault("features beyond half precision's range")
@pytest.mark.parametrize("scale", [1e3, 1e30, 1e-30])
@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=SLOW)])
def test_features_out_of_range_give_finite_scores_or_an_error(
    model: DCFSTNet, scale: float, precision: str
) -> None:
    """A head whose last layer is scaled: samples overflow, or become denormal."""
    scaled = load_model()
    with torch.no_grad():
        for name, parameter in scaled.named_parameters():
            if name.startswith("embedding") and parameter.ndim == 2:
                parameter.mul_(scale)
    try:
        tracks = follow(scaled, replace(FULL, precision=precision), FRAMES[:4])
    except SolverError as error:
        assert "samples finite" in str(error)
        return
    assert_finite(tracks)


@pytest.mark.fault("weights of denormal numbers")
def test_denormal_weights_give_finite_scores() -> None:
    tiny = load_model()
    with torch.no_grad():
        for parameter in tiny.parameters():
            parameter.mul_(1e-42)
    try:
        assert_finite(follow(tiny, FULL, FRAMES[:4]))
    except SolverError as error:
        assert "ridge system" in str(error)


@pytest.mark.fault("singular ridge systems")
@pytest.mark.parametrize("rows", [3, 40])
def test_a_singular_system_is_solved_or_refused_with_its_size(rows: int) -> None:
    same = torch.ones(1, rows, 12)
    for matrix in (same, torch.zeros_like(same), same * 1e-22, same * 1e18):
        y = torch.linspace(0, 1, rows)[None]
        try:
            w = ridge_solve(matrix, y, 0.0)
        except SolverError as error:
            assert "expected a positive definite" in str(error)
            continue
        assert torch.isfinite(w).all()


@pytest.mark.fault("sums that overflow")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_sums_that_overflow_are_refused(value: float) -> None:
    gram = torch.eye(6)[None] * value
    try:
        w = solve_normal_equations(gram, torch.ones(1, 6), 0.1)
    except SolverError as error:
        assert "samples finite" in str(error)
        return
    assert torch.isfinite(w).all()
