"""What a CUDA graph needs of the tracker's stages, checked without a GPU; see also test_gpu.py."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from dcfst_core import Tracker, TrackerConfig
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.inference.cuda_graph import GraphedStage
from dcfst_core.network.checkpoint import load_model

CLIP = SyntheticClip(frames=8, size=(320, 240), target=(40, 48), period=40)
SECOND_BOX = (30.0, 150.0, 50.0, 40.0)
Call = tuple[tuple[Tensor | None, ...], dict[str, object]]


def calls_of(stage: str, config: TrackerConfig) -> tuple[Callable[..., object], list[Call]]:
    """The function behind a stage of the localiser, and what it is called with for two targets."""
    tracker = Tracker(load_model(), config)
    tracker._net.cuts_windows = False  # as on a GPU
    function = getattr(tracker._localiser, stage)._function
    calls: list[Call] = []

    def recorded(*tensors: Tensor | None, **options: object) -> object:
        calls.append((tensors, options))
        return function(*tensors, **options)

    setattr(tracker._localiser, stage, recorded)
    frames = iter(CLIP)
    frame = next(frames)
    for index, box in enumerate((tuple(CLIP.boxes_xywh()[0]), SECOND_BOX)):
        tracker.init(frame, box, str(index))
    for frame in frames:
        tracker.update_all(frame)
    return function, calls


@pytest.mark.parametrize("stage", ["_search", "_examine"])
@pytest.mark.parametrize("doubt", [False, True])
def test_a_stage_is_a_fixed_list_of_kernels_of_its_inputs_alone(stage: str, doubt: bool) -> None:
    # In doubt, the limit of reach is among the inputs; not lost, the number of regions stays.
    config = TrackerConfig(precision="float32", lost_after=100, num_proposals=3)
    if doubt:
        config = replace(config, uncertain_threshold=3.0)
    function, calls = calls_of(stage, config)
    tensors, options = calls[1]
    given = [index for index, tensor in enumerate(tensors) if tensor is not None]

    def only_tensors(*values: Tensor) -> object:
        every: list[Tensor | None] = [None] * len(tensors)
        for index, value in zip(given, values, strict=True):
            every[index] = value
        return function(*every, **options)

    # Tracing refuses what waits for a value, and freezes what comes from the host.
    with torch.no_grad():
        fixed = make_fx(only_tensors)(*(tensors[index] for index in given))
        for later, _ in calls[2:]:
            values = [later[index] for index in given]
            for replayed, expected in zip(fixed(*values), only_tensors(*values), strict=True):
                assert torch.equal(replayed.nan_to_num(), expected.nan_to_num())


def test_a_stage_that_cannot_be_captured_is_called_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    if torch.cuda.is_available():
        pytest.skip("here it can be captured")
    stage = GraphedStage(lambda x, y, scale: (scale * x if y is None else scale * x + y,), True)
    one = torch.ones(2)
    with caplog.at_level(logging.WARNING):
        for index in range(6):
            assert stage(index * one, None, scale=2.0)[0].tolist() == [2.0 * index] * 2
            assert stage(index * one, one, scale=2.0)[0].tolist() == [2.0 * index + 1] * 2
    assert caplog.text.count("going on without a CUDA graph") == 1
