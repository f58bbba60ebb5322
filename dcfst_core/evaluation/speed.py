"""Milliseconds per stage, frames per second and memory of a tracker, the same on any machine.

Two passes over the same frames: one with the stage timer, which waits for the device at each
stage, and one without it, which gives the total and FPS that a user sees. Another tracker has the
second alone.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from dcfst_core.boxes import BoxXYWH
from dcfst_core.evaluation.tables import format_table
from dcfst_core.evaluation.trackers import OnlineTracker
from dcfst_core.inference.machine import describe_machine, resident_memory_mib
from dcfst_core.media.video import Frame
from dcfst_core.tracking.tracker import Tracker

STAGES = (
    *("upload", "crop", "trunk", "head", "pooling", "localise", "refine", "compare"),
    *("update", "solve", "other"),
)


_HEADINGS = ("stage", "mean ms", "p50 ms", "p95 ms", "p99 ms", "share")


@dataclass(frozen=True)
class Benchmark:
    """One measurement.

    stages_ms: milliseconds of each stage, one value for each measured frame (0 where a stage did
    not run); empty for a tracker whose stages are not known. total_ms: milliseconds of each whole
    `update` without stage timing. init_ms: milliseconds of `init`. memory_mib: resident memory at
    its peak and, on a GPU, what torch allocated there at most.
    """

    name: str
    device: str
    frame_size: tuple[int, int]
    targets: int
    stages_ms: dict[str, list[float]]
    total_ms: list[float]
    init_ms: float
    memory_mib: dict[str, float]

    @property
    def fps(self) -> float:
        """Frames a second over the whole pass."""
        return 1e3 * len(self.total_ms) / sum(self.total_ms)

    def summary(self) -> tuple[str, float, float, float, float]:
        """Its name, frames a second, and milliseconds a frame: p50, p95, p99."""
        return (self.name, self.fps, *_statistics(self.total_ms)[1:])

    def table(self) -> str:
        """Stages with mean, p50, p95, p99 and share of the total."""
        whole = sum(sum(v) for v in self.stages_ms.values())
        rows = [
            (stage, *_statistics(values), f"{100 * sum(values) / whole:.0f} %")
            for stage, values in self.stages_ms.items()
        ]
        rows.append(("total", *_statistics(self.total_ms), ""))
        width, height = self.frame_size
        memory = ", ".join(f"{k} {v:.0f} MiB" for k, v in self.memory_mib.items())
        return "\n".join(
            (
                f"{self.name}: {self.targets} target(s), {width}x{height}, {self.device}, "
                f"{len(self.total_ms)} frames",
                format_table(_HEADINGS, rows, digits=2),
                f"{self.fps:.1f} FPS, init {self.init_ms:.1f} ms, memory: {memory}",
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("mean_ms", "p50_ms", "p95_ms", "p99_ms")
        timed = {**self.stages_ms, "total": self.total_ms}
        return {
            "name": self.name,
            "device": self.device,
            "frame_size": list(self.frame_size),
            "targets": self.targets,
            "frames": len(self.total_ms),
            "fps": self.fps,
            "init_ms": self.init_ms,
            "memory_mib": self.memory_mib,
            "stages": {k: dict(zip(names, _statistics(v), strict=True)) for k, v in timed.items()},
        }


def measure(
    tracker: Tracker,
    frames: Sequence[Frame],
    boxes_xywh: Sequence[Sequence[float]],
    iterations: int = 60,
    warmup: int = 10,
    name: str = "dcfst",
    progress: bool = True,
) -> Benchmark:
    """Measure `Tracker.update` over frames shown forwards and backwards, again and again.

    `frames`: uint8 RGB, all of one size, the first one holding the targets at `boxes_xywh`.
    `iterations`: frames measured in each pass, after `warmup` frames that are not. ValueError
    with fewer than two frames.
    """
    _check_count(frames)
    _reset_peak(tracker.device)
    bar = tqdm(total=2 * (iterations + warmup), unit="frame", desc=name, disable=not progress)
    with bar:
        tracker.timer.enabled = True
        _start(tracker, frames[0], boxes_xywh)
        stages: dict[str, list[float]] = {}
        shown = frames, iterations + warmup, tracker.device, bar
        for index, ms in enumerate(_timed(tracker.update_all, *shown)):
            if index >= warmup:
                parts = dict(tracker.timer.last_ms)
                parts["other"] = max(ms - sum(parts.values()), 0.0)
                for stage in parts:
                    stages.setdefault(stage, [0.0] * (index - warmup))
                for stage, values in stages.items():
                    values.append(parts.get(stage, 0.0))
        tracker.timer.enabled = False
        init_ms = _start(tracker, frames[0], boxes_xywh)
        total = list(_timed(tracker.update_all, *shown))[warmup:]
    order = {stage: position for position, stage in enumerate(STAGES)}
    ordered = sorted(stages.items(), key=lambda item: order.get(item[0], len(order)))
    height, width = frames[0].shape[:2]
    return Benchmark(
        name,
        str(tracker.device),
        (width, height),
        len(boxes_xywh),
        dict(ordered),
        total,
        init_ms,
        _memory(tracker.device),
    )


def measure_other(
    tracker: OnlineTracker,
    frames: Sequence[Frame],
    box_xywh: BoxXYWH,
    iterations: int = 60,
    warmup: int = 10,
    name: str = "other",
    progress: bool = True,
) -> Benchmark:
    """Measure another tracker's `update` in the same way, as a whole; see `measure`.

    It is taken to run on the CPU and to have done its work when it returns.
    """
    _check_count(frames)
    height, width = frames[0].shape[:2]
    cpu = torch.device("cpu")
    with tqdm(total=iterations + warmup, unit="frame", desc=name, disable=not progress) as bar:
        start_s = time.perf_counter()
        tracker.init(frames[0], box_xywh)
        init_ms = (time.perf_counter() - start_s) * 1e3
        total = list(_timed(tracker.update, frames, iterations + warmup, cpu, bar))[warmup:]
    return Benchmark(name, "cpu", (width, height), 1, {}, total, init_ms, _memory(cpu))


def document(benchmarks: Sequence[Benchmark]) -> dict[str, Any]:
    """All measurements of one run with the machine they were made on, for JSON."""
    return {"machine": describe_machine(), "benchmarks": [b.to_dict() for b in benchmarks]}


def _start(tracker: Tracker, frame: Frame, boxes_xywh: Sequence[Sequence[float]]) -> float:
    tracker.reset()
    _wait(tracker.device)
    start_s = time.perf_counter()
    for index, box in enumerate(boxes_xywh):
        tracker.init(frame, box, target_id=str(index))
    _wait(tracker.device)
    return (time.perf_counter() - start_s) * 1e3


def _check_count(frames: Sequence[Frame]) -> None:
    if len(frames) < 2:
        raise ValueError(f"expected at least 2 frames to measure on; got {len(frames)}")


def _timed(
    update: Callable[[Frame], object],
    frames: Sequence[Frame],
    count: int,
    device: torch.device,
    bar: Any,
) -> Iterator[float]:
    """Yield the milliseconds of each update; to and fro, so that no frame jumps."""
    there_and_back = itertools.cycle([*range(1, len(frames)), *range(len(frames) - 2, -1, -1)])
    for index in itertools.islice(there_and_back, count):
        _wait(device)
        start_s = time.perf_counter()
        update(frames[index])
        _wait(device)
        yield (time.perf_counter() - start_s) * 1e3
        bar.update()


def _statistics(values_ms: Sequence[float]) -> tuple[float, float, float, float]:
    p50, p95, p99 = np.percentile(values_ms, [50, 95, 99])
    return float(np.mean(values_ms)), float(p50), float(p95), float(p99)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _memory(device: torch.device) -> dict[str, float]:
    now, peak = resident_memory_mib()
    memory = {"resident": now, "resident peak": peak}
    if device.type == "cuda":
        memory["gpu peak"] = torch.cuda.max_memory_allocated(device) / 2**20
    return memory
