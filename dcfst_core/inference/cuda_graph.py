"""A stage of the tracker as one CUDA graph: on a GPU most of a small network's time is launches.

A graph replays a fixed list of kernels on fixed memory, so what it holds must not depend on values
on the host nor wait for the device: everything comes in as tensors of shapes that have been seen
before, and goes out as tensors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Tensors = tuple[Tensor | None, ...]
# Named tuples of tensors and of such tuples, to any depth.
Tree = Any
Function = Callable[..., Tree]
_Key = tuple[Hashable, ...]

# Each number of targets and of search regions has its graph; further ones do without.
_MOST_GRAPHS = 32
# A shape is captured when it has been seen so often: capturing costs as much as many frames.
_SEEN_BEFORE_CAPTURE = 3
_WARM_UP = 3
# Half-precision convolutions may take other algorithms in a graph. A fault is off by far more.
_TOLERANCE = 0.05


class GraphedStage:
    """A function of tensors that is replayed as a CUDA graph where that is possible.

    `function(tree, **options)` takes and returns a named tuple of tensors, nested if need be;
    `None` may stand for a tensor that is not given, and options are plain values. Without
    `enabled` and on new shapes it is called as it is. A graph whose first results are not those of
    the plain call, or that cannot be captured, is given up for good with a warning: then the stage
    is only slower.
    """

    def __init__(self, function: Function, enabled: bool) -> None:
        self._function = function
        self._enabled = enabled
        self._seen: dict[_Key, int] = {}
        self._graphs: dict[_Key, _Graph] = {}
        self._pool: Any = None

    def __call__(self, tree: Tree, **options: Hashable) -> Tree:
        """The function's results; they are the caller's own."""
        if not self._enabled:
            return self._function(tree, **options)
        tensors = flatten(tree)
        key = (*(_form(tensor) for tensor in tensors), *sorted(options.items()))
        graph = self._graphs.get(key)
        if graph is not None:
            return graph.replay(tensors)
        expected = self._function(tree, **options)
        self._seen[key] = self._seen.get(key, 0) + 1
        if self._seen[key] == _SEEN_BEFORE_CAPTURE and len(self._graphs) < _MOST_GRAPHS:
            self._capture(key, tree, options, expected)
        return expected

    def _capture(
        self, key: _Key, tree: Tree, options: dict[str, Hashable], expected: Tree
    ) -> None:
        wanted = flatten(expected)
        try:
            with torch.cuda.device(next(t for t in wanted if t is not None).device):
                # All graphs share one memory: they run one by one, and results are copied.
                self._pool = self._pool or torch.cuda.graph_pool_handle()
                graph = _Graph.capture(self._function, tree, options, self._pool)
                found = flatten(graph.replay(flatten(tree)))
        except (RuntimeError, ValueError) as error:
            self._give_up(f"it could not be captured ({error})")
            return
        if not all(_agree(*pair) for pair in zip(found, wanted, strict=True)):
            self._give_up("its results differ from those of the plain call")
            return
        self._graphs[key] = graph

    def _give_up(self, reason: str) -> None:
        self._enabled = False
        self._graphs.clear()
        log.warning(
            "going on without a CUDA graph, so a frame takes longer: %s. Please report this with "
            "the output of `dcfst info`; cuda_graphs=False stops the attempts",
            reason,
        )


@dataclass(frozen=True)
class _Graph:
    """A captured function with the memory that it reads from and writes to."""

    graph: torch.cuda.CUDAGraph
    inputs: Tensors
    outputs: Tree

    @classmethod
    def capture(
        cls, function: Function, tree: Tree, options: dict[str, Hashable], pool: Any
    ) -> _Graph:
        inputs = copied(tree)
        # The libraries choose algorithms and take memory in the first calls, off the main stream.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                function(inputs, **options)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads of the process, such as a node's callbacks, may use the GPU meanwhile.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            outputs = function(inputs, **options)
        return cls(graph, flatten(inputs), outputs)

    def replay(self, tensors: Tensors) -> Tree:
        for place, value in zip(self.inputs, tensors, strict=True):
            if place is not None and value is not None:
                place.copy_(value)
        self.graph.replay()
        return copied(self.outputs)


def flatten(tree: Tree) -> Tensors:
    """The tensors of a nested tuple in order, with its Nones."""
    if tree is None or isinstance(tree, Tensor):
        return (tree,)
    return tuple(tensor for branch in tree for tensor in flatten(branch))


def copied(tree: Tree) -> Tree:
    """The same nested tuple with clones of its tensors."""
    if tree is None:
        return None
    if isinstance(tree, Tensor):
        return tree.clone()
    branches = [copied(branch) for branch in tree]
    return type(tree)(*branches) if hasattr(tree, "_fields") else tuple(branches)


def _form(tensor: Tensor | None) -> Hashable:
    return None if tensor is None else (tuple(tensor.shape), tensor.stride(), tensor.dtype)


def _agree(found: Tensor | None, expected: Tensor | None) -> bool:
    if found is None or expected is None:
        return found is expected
    finite = expected.nan_to_num(0.0, 0.0, 0.0)
    scale = float(finite.abs().max()) if expected.numel() else 1.0
    close = torch.isclose(
        found, expected, rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True
    )
    return bool(close.all())
