"""What a CUDA graph needs of the tracker's stages, checked without a GPU; see also test_gpu.py."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from dcfst_core import Tracker, TrackerConfig
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.inference.cuda_graph import GraphedStage, copied, flatten
from dcfst_core.network.model import DCFSTNet

CLIP = SyntheticClip(frames=6, size=(320, 240), target=(40, 48), period=40)
SECOND_BOX = (30.0, 150.0, 50.0, 40.0)
CONFIG = TrackerConfig(
    precision="float32",
    search_area_scale=4.0,
    patch_size=208,
    grid_size=21,
    num_proposals=3,
    modulation_adaptation_iter=0,
    augment_first_frame=False,
)
# Never lost, so that the number of regions stays; never sure, so that reach is among the inputs.
# Without the second look and the one beyond its reach, which have another number of regions, and
# so another graph.
IN_DOUBT = replace(
    CONFIG,
    tracking_threshold=1.0,
    learning_threshold=1.0,
    lost_threshold=0.0,
    look_around=False,
    lost_search_tiles=0,
)


class Inner(NamedTuple):
    left: Tensor
    right: Tensor | None


class Outer(NamedTuple):
    inner: Inner
    plain: tuple[Tensor, Tensor]
    last: Tensor | None


def tree() -> Outer:
    a, b, c = (torch.full((2,), value) for value in (1.0, 2.0, 3.0))
    return Outer(Inner(a, None), (b, c), None)


def unflattened(like: Any, tensors: Iterator[Tensor]) -> Any:
    """A tree of the same form with other tensors in the place of its own."""
    if like is None:
        return None
    if isinstance(like, Tensor):
        return next(tensors)
    branches = [unflattened(branch, tensors) for branch in like]
    return type(like)(*branches) if hasattr(like, "_fields") else tuple(branches)


def given(any_tree: Any) -> list[Tensor]:
    return [tensor for tensor in flatten(any_tree) if tensor is not None]


def test_a_tree_is_flattened_in_order_with_what_is_not_given() -> None:
    made = tree()
    tensors = flatten(made)
    assert [None if t is None else float(t[0]) for t in tensors] == [1.0, None, 2.0, 3.0, None]
    assert tensors[0] is made.inner.left
    assert flatten(None) == (None,)


def test_a_copy_is_of_the_same_form_and_its_own() -> None:
    made = tree()
    copy = copied(made)
    assert isinstance(copy, Outer) and isinstance(copy.inner, Inner)
    assert type(copy.plain) is tuple
    assert copy.inner.right is None and copy.last is None
    for own, other in zip(given(copy), given(made), strict=True):
        assert torch.equal(own, other)
        assert own.data_ptr() != other.data_ptr()


def calls_of(model: DCFSTNet, stage: str, config: TrackerConfig) -> tuple[Any, list[Any]]:
    """The function behind a stage of the localiser, and what it is called with for two targets."""
    tracker = Tracker(model, config)
    tracker._net.cuts_windows = False  # as on a GPU
    localiser = tracker._localiser
    graphed = f"_graphed_{stage}"
    function = getattr(localiser, graphed)._function
    calls: list[Any] = []

    def recorded(inputs: Any, **options: Any) -> Any:
        calls.append((copied(inputs), options))
        return function(inputs, **options)

    setattr(localiser, graphed, recorded)
    frames = iter(CLIP)
    frame = next(frames)
    for index, box in enumerate((tuple(CLIP.boxes_xywh()[0]), SECOND_BOX)):
        tracker.init(frame, box, str(index))
    for frame in frames:
        tracker.update_all(frame)
    return function, calls


@pytest.mark.parametrize("stage", ["search", "examine"])
@pytest.mark.parametrize("config", [CONFIG, IN_DOUBT], ids=["sure", "in doubt"])
def test_a_stage_is_a_fixed_list_of_kernels_of_its_inputs_alone(
    model: DCFSTNet, stage: str, config: TrackerConfig
) -> None:
    function, calls = calls_of(model, stage, config)
    # The first frame is searched without a limit of reach, as both targets were just given.
    inputs, options = calls[1]
    if stage == "search":
        assert (inputs.reach is not None) is (config is IN_DOUBT)

    def only_tensors(*values: Tensor) -> tuple[Tensor, ...]:
        return tuple(given(function(unflattened(inputs, iter(values)), **options)))

    # Tracing refuses what waits for a value, and freezes what comes from the host.
    with torch.no_grad():
        fixed = make_fx(only_tensors)(*given(inputs))
        compared = 0
        for later, _ in calls[2:]:
            values = given(later)
            results = zip(fixed(*values), only_tensors(*values), strict=True)
            for replayed, expected in results:
                assert torch.equal(replayed.nan_to_num(), expected.nan_to_num())
                compared += 1
    assert compared > 10


def test_a_stage_that_cannot_be_captured_is_called_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    if torch.cuda.is_available():
        pytest.skip("here it can be captured")

    def scaled(inputs: Inner, scale: float) -> Inner:
        out = scale * inputs.left
        return Inner(out if inputs.right is None else out + inputs.right, None)

    stage = GraphedStage(scaled, True)
    one = torch.ones(2)
    with caplog.at_level(logging.WARNING):
        for index in range(6):
            alone, both = (stage(Inner(index * one, y), scale=2.0) for y in (None, one))
            assert alone.left.tolist() == [2.0 * index] * 2
            assert both.left.tolist() == [2.0 * index + 1] * 2
    assert caplog.text.count("going on without a CUDA graph") == 1


def test_a_stage_that_is_switched_off_is_the_function_itself() -> None:
    stage = GraphedStage(lambda inputs: inputs, False)
    made = tree()
    assert stage(made) is made
