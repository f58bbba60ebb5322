"""Seconds and peak memory of a piece of work, on the CPU and on CUDA."""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dcfst_core.inference.machine import (
    describe_machine,
    give_back_freed_memory,
    resident_memory_mib,
)

_CLEAR_REFS = Path("/proc/self/clear_refs")
_M_MMAP_THRESHOLD = -3


@dataclass(frozen=True)
class Cost:
    """seconds: of the quickest repetition. peak_mib: most memory held above what was held before
    it; NaN where the system cannot tell."""

    seconds: float
    peak_mib: float


def measure(work: Callable[[], object], device: torch.device, repeats: int = 3) -> Cost:
    """Run `work` once to warm up, then `repeats` times; torch.OutOfMemoryError if it does not fit.

    Work of more than two seconds is run once: there is little left to warm up.

    With one thread on a CPU the time is the process's own, so that other programs do not count;
    otherwise it is the clock's.
    """
    on_cpu = device.type != "cuda"
    clock = time.process_time if on_cpu and torch.get_num_threads() == 1 else time.perf_counter
    seconds, peaks = [], []
    for _ in range(1 + repeats):
        _keep_nothing_freed()
        before = _begin(device)
        start_s = clock()
        work()
        if not on_cpu:
            torch.cuda.synchronize(device)
        seconds.append(clock() - start_s)
        peaks.append(_peak(device) - before)
        if seconds[0] > 2:
            break
    # The first run also makes what libraries keep for the next ones.
    return Cost(min(seconds[1:] or seconds), max(peaks[1:] or peaks))


def clock_name(device: torch.device) -> str:
    """What `measure` measures, for the reader of a table."""
    if device.type == "cuda":
        return "seconds on the GPU"
    threads = torch.get_num_threads()
    return "CPU seconds, 1 thread" if threads == 1 else f"seconds, {threads} CPU threads"


def write_json(path: Path, kind: str, rows: list[dict[str, Any]]) -> None:
    """Write measurements with the machine they were made on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"benchmark": kind, "machine": describe_machine(), "rows": rows}
    path.write_text(json.dumps(document, indent=2) + "\n")
    print(f"wrote {path}", file=sys.stderr)


def _begin(device: torch.device) -> float:
    """Forget the peak so far; returns MiB held now."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 2**20
    try:
        _CLEAR_REFS.write_text("5")  # Linux: resets VmHWM to VmRSS
    except OSError:
        return float("nan")
    return resident_memory_mib()[0]


def _peak(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resident_memory_mib()[1]


def _keep_nothing_freed() -> None:
    """Let glibc keep nothing of what tensors freed, or the work would seem to need nothing.

    Every time: what fits into a hole of the heap is not mapped anew, whatever the threshold.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, 2**18)
    give_back_freed_memory()
