"""Run the tracker on clips and synthetic absences, and keep each frame's evidence and truth."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from dcfst_core.boxes import BoxXYWH
from dcfst_core.evaluation.absence import KINDS, absence_cases
from dcfst_core.evaluation.metrics import has_area, overlaps
from dcfst_core.evaluation.one_pass import truncate
from dcfst_core.evaluation.sequences import AnnotatedClip, AnnotatedSequence
from dcfst_core.evaluation.trackers import TrackerSpec
from dcfst_core.track import TrackState
from dcfst_core.tracking.evidence import FEATURES, Usual, features
from dcfst_core.tracking.judgement import may_learn
from dcfst_core.tracking.tracker import Tracker
from dcfst_training.judge.fit import Run

PLAIN = "plain"
# Less than half of a target in view is neither present nor absent: such frames are not judged.
_CLEARLY_VISIBLE = 0.5


def judge_cases(
    sequences: Sequence[AnnotatedSequence],
    frames: int = 60,
    duration: int = 30,
    kinds_per_clip: int = 2,
) -> list[tuple[str, str, str, AnnotatedClip]]:
    """Each clip as it is, and with some kinds of absence in turn: (clip, group, kind, case).

    `frames`: most frames of a plain clip.
    """
    cases: list[tuple[str, str, str, AnnotatedClip]] = []
    for index, sequence in enumerate(sequences):
        short = truncate(sequence, frames)
        cases.append((sequence.name, sequence.group, PLAIN, short))
        kinds = [KINDS[(index + 3 * k) % len(KINDS)] for k in range(kinds_per_clip)]
        made = absence_cases([short], kinds, [duration])
        cases += [(sequence.name, sequence.group, case.kind, case) for case in made]
    return cases


def collect(
    spec: TrackerSpec,
    cases: Sequence[tuple[str, str, str, AnnotatedClip]],
    folder: Path,
    workers: int = 1,
    progress: bool = True,
) -> list[Run]:
    """Run all cases; what `folder` holds already of the same tracker is not run again."""
    folder.mkdir(parents=True, exist_ok=True)
    key = spec.fingerprint()
    jobs = [(spec, key, folder, *case) for case in cases]
    if workers == 1:
        done: Iterable[Run] = map(_collect_one, jobs)
        return list(tqdm(done, "runs", len(jobs), disable=not progress))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        return list(tqdm(pool.map(_collect_one, jobs), "runs", len(jobs), disable=not progress))


def _collect_one(job: tuple[TrackerSpec, str, Path, str, str, str, AnnotatedClip]) -> Run:
    spec, key, folder, clip, group, kind, case = job
    name = hashlib.sha256(f"{key} {case.fingerprint()}".encode()).hexdigest()[:20]
    path = folder / f"{name}.npz"
    if path.is_file():
        with np.load(path) as data:
            return Run(clip, group, kind, **{name: data[name] for name in data.files})
    tracker = spec.build()
    assert isinstance(tracker, Tracker)
    run = record(tracker, case, clip, group, kind)
    values = {name: getattr(run, name) for name in ("features", "found", "iou", "visible")}
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **values)
    partial.replace(path)
    return run


def record(tracker: Tracker, case: AnnotatedClip, clip: str, group: str, kind: str) -> Run:
    """Track one case and keep what was seen in every frame after the first."""
    truth = case.truth_xywh
    visibility = getattr(case, "visibility", None)
    rows: list[tuple[float, ...]] = []
    found: list[bool] = []
    boxes: list[BoxXYWH] = []
    usual = Usual()
    for index, frame in enumerate(case.images()):
        if index == 0:
            tracker.init(frame, case.init_box_xywh)
            continue
        track = tracker.update(frame)
        rows.append(features(track.evidence, usual) if track.evidence else (0.0,) * len(FEATURES))
        found.append(track.evidence is not None)
        boxes.append(track.box_xywh)
        if track.evidence is not None:
            learned = may_learn(track.state, track.presence, track.evidence, usual, tracker.config)
            usual = usual.after(track.evidence, track.state is TrackState.TRACKING, learned)
    visible = has_area(truth[1:])
    iou = np.where(visible, overlaps(np.array(boxes), truth[1:]), 0.0)
    if visibility is not None:
        unclear = (visibility[1:] > 0) & (visibility[1:] < _CLEARLY_VISIBLE)
        iou[unclear] = np.nan
    return Run(clip, group, kind, np.array(rows), np.array(found), iou, visible)


def save_verifier(metadata_path: Path, verifier: dict) -> None:
    """Put a verifier into a checkpoint's JSON."""
    metadata = json.loads(metadata_path.read_text())
    metadata["verifier"] = verifier
    metadata_path.write_text(json.dumps(metadata, indent=2) + "\n")
