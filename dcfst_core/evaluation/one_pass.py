"""One-pass evaluation (OPE): start on the first true box, then run to the end without help.

Source: Wu, Lim, Yang, "Online Object Tracking: A Benchmark" (CVPR 2013).
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from dcfst_core.boxes import BoxXYWH
from dcfst_core.evaluation.results import SequenceResult, is_done, load_result, save_result
from dcfst_core.evaluation.sequences import AnnotatedClip, AnnotatedSequence
from dcfst_core.evaluation.trackers import OnlineTracker, TrackerSpec
from dcfst_core.inference.machine import available_cores
from dcfst_core.media.video import Frame

_worker_spec: TrackerSpec | None = None
_worker_tracker: OnlineTracker | None = None


def run_sequence(
    tracker: OnlineTracker,
    sequence: AnnotatedClip,
    on_frame: Callable[[], object] | None = None,
) -> SequenceResult:
    """Run a tracker over one clip; reading or drawing its images does not count as its time."""
    return run_frames(tracker, sequence.images(), sequence.init_box_xywh, on_frame)


def run_frames(
    tracker: OnlineTracker,
    frames: Iterable[Frame],
    init_box_xywh: BoxXYWH,
    on_frame: Callable[[], object] | None = None,
) -> SequenceResult:
    """Run a tracker over RGB frames from a box (x, y, w, h in pixels) in the first of them."""
    boxes: list[BoxXYWH] = []
    times_s: list[float] = []
    scores: list[float] = []
    states: list[str] = []
    for frame in frames:
        start_s = time.perf_counter()
        found = tracker.update(frame) if boxes else tracker.init(frame, init_box_xywh)
        times_s.append(time.perf_counter() - start_s)
        boxes.append(box_of(found) if boxes else init_box_xywh)
        scores.append(float(getattr(found, "score", np.nan)))
        state = getattr(found, "state", "")
        states.append(str(getattr(state, "value", state)))
        if on_frame is not None:
            on_frame()
    return SequenceResult(
        np.array(boxes, dtype=np.float64), np.array(times_s), np.array(scores), tuple(states)
    )


def box_of(found: Any) -> BoxXYWH:
    """Return the box x, y, w, h of what a tracker returned: a track or a plain box."""
    box = getattr(found, "box_xywh", found)
    x, y, w, h = (float(v) for v in box)
    return (x, y, w, h)


def run_one_pass(
    spec: TrackerSpec,
    sequences: Sequence[AnnotatedClip],
    out: Path,
    workers: int = 1,
    progress: bool = True,
    repeat: bool = False,
) -> dict[str, SequenceResult]:
    """Run a tracker over clips and return its results by their names.

    Every finished clip is written to `out` at once, and one that is on disk with the same
    fingerprints is read instead of run (unless `repeat`), so that an interrupted run goes on where
    it stopped. `workers` processes share the CPU's cores; times are only worth reading with one.
    """
    fingerprint = spec.fingerprint()
    todo = [s for s in sequences if repeat or not is_done(out, spec.name, s, fingerprint)]
    skipped = len(sequences) - len(todo)
    total = sum(len(s.truth_xywh) for s in todo)
    label = f"{spec.name} ({skipped} done before)" if skipped else spec.name
    with tqdm(total=total, desc=label, unit="frame", disable=not progress or not todo) as bar:
        runs = _run_here(spec, todo, bar) if workers <= 1 else _run_apart(spec, todo, workers, bar)
        for sequence, result in runs:
            save_result(out, spec.name, sequence, result, fingerprint)
    # Read back what was written, so that resumed and fresh runs score alike to the last digit.
    return {s.name: load_result(out / spec.name, s) for s in sequences}


def _run_here(
    spec: TrackerSpec, todo: Iterable[AnnotatedClip], bar: Any
) -> Iterable[tuple[AnnotatedClip, SequenceResult]]:
    tracker = None
    for sequence in todo:
        tracker = tracker or spec.build()
        bar.set_postfix_str(sequence.name)
        yield sequence, run_sequence(tracker, sequence, bar.update)


def _run_apart(
    spec: TrackerSpec, todo: Sequence[AnnotatedClip], workers: int, bar: Any
) -> Iterable[tuple[AnnotatedClip, SequenceResult]]:
    """Run sequences in worker processes, the longest first, so that none is left for the end."""
    threads = max(1, available_cores() // workers)
    pool = ProcessPoolExecutor(
        max_workers=min(workers, max(1, len(todo))),
        # A forked child inherits torch's and OpenCV's threads in an unknown state.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(spec, threads),
    )
    try:
        by_length = sorted(todo, key=lambda s: -len(s.truth_xywh))
        futures = {pool.submit(_run_in_worker, s): s for s in by_length}
        for future in as_completed(futures):
            sequence = futures[future]
            bar.set_postfix_str(sequence.name)
            bar.update(len(sequence.truth_xywh))
            yield sequence, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(spec: TrackerSpec, threads: int) -> None:
    global _worker_spec
    torch.set_num_threads(threads)
    _worker_spec = spec


def _run_in_worker(sequence: AnnotatedClip) -> SequenceResult:
    global _worker_tracker
    assert _worker_spec is not None, "the pool's initializer sets it"
    # Built here and not in the initializer: an error there breaks the pool and hides its reason.
    _worker_tracker = _worker_tracker or _worker_spec.build()
    return run_sequence(_worker_tracker, sequence)


def truncate(sequence: AnnotatedSequence, frames: int) -> AnnotatedSequence:
    """Return the first `frames` frames of a sequence, for a quick look."""
    return replace(
        sequence, frames=sequence.frames[:frames], truth_xywh=sequence.truth_xywh[:frames]
    )
