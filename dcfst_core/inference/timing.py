"""Milliseconds per stage of the tracker, for the benchmark and for the node's diagnostics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class StageTimer:
    """Add up the time spent in named stages.

    Use `with timer("trunk"): ...`. A stage entered twice in one update adds up; stages may not
    nest. Off by default: then a stage costs one attribute test, and a GPU is never synchronised.
    """

    def __init__(self, device: torch.device, enabled: bool = False) -> None:
        self.device = device
        self.enabled = enabled
        self.last_ms: dict[str, float] = {}

    def reset(self) -> None:
        """Forget the stages of the last update; the tracker calls this at the start of each."""
        self.last_ms = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time one stage; on CUDA the device is synchronised before and after it."""
        if not self.enabled:
            yield
            return
        self._synchronize()
        start_s = time.perf_counter()
        try:
            yield
        finally:
            self._synchronize()
            elapsed_ms = (time.perf_counter() - start_s) * 1e3
            self.last_ms[stage] = self.last_ms.get(stage, 0.0) + elapsed_ms

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
