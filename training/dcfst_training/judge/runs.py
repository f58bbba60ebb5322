"""Run the tracker on clips and synthetic absences, and keep each frame's evidence and truth.

A clip is tracked once, as it is; where an absence begins, a copy of the tracker goes that way. So
a clip costs little more than its absences, and what came before them is the same for all.
"""

from __future__ import annotations

import copy
import hashlib
import json
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from dcfst_core.boxes import BoxXYWH
from dcfst_core.evaluation.absence import CROSSING, AbsenceCase, absence_case
from dcfst_core.evaluation.metrics import has_area, overlaps
from dcfst_core.evaluation.one_pass import truncate
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.trackers import TrackerSpec
from dcfst_core.media.video import Frame
from dcfst_core.track import TrackState
from dcfst_core.tracking.evidence import FEATURES, Usual, doubt, features
from dcfst_core.tracking.judgement import may_learn
from dcfst_core.tracking.tracker import Tracker
from dcfst_core.tracking.verifier import Verifier
from dcfst_training.judge.fit import PLAIN, Run

# Less than half of a target in view is neither present nor absent: such frames are not judged.
_CLEARLY_VISIBLE = 0.5
# Frames in view before an absence begins.
_IN_VIEW = 3


class ClipCases(NamedTuple):
    """One clip as it is, and the absences that are made of it."""

    clip: str
    group: str
    plain: AnnotatedSequence
    absences: list[AbsenceCase]


def judge_cases(sequences: Sequence[AnnotatedSequence], frames: int = 60) -> list[ClipCases]:
    """Each clip, its first `frames`, with up to six absences.

    Four are abrupt, two of them short: what matters most is how the evidence falls. The fifth is a
    patch that slides over the target or, in every other clip, a copy of the target that comes by;
    every third clip also shows another scene.
    """
    cases = []
    for index, sequence in enumerate(sequences):
        abrupt = ("removed", "covered") if index % 2 == 0 else ("covered", "removed")
        plan = [
            (abrupt[0], 10, 6, 0),
            ("slid" if index % 2 == 0 else CROSSING, 16, 12, 8),
            (abrupt[1], 20, 6, 0),
            (abrupt[0], 30, 30, 10),
            (abrupt[1], 42, 14, 10),
        ]
        if index % 3 == 0:
            plan.append(("cut", 50, 6, 8))
        plain = truncate(sequence, frames)
        seen = has_area(plain.truth_xywh)
        absences = [
            absence_case(sequence, kind, first, duration, after)
            for kind, first, duration, after in plan
            if first < len(seen) and seen[first - _IN_VIEW : first].all()
        ]
        cases.append(ClipCases(sequence.name, sequence.group, plain, absences))
    return cases


def collect(
    spec: TrackerSpec,
    cases: Sequence[ClipCases],
    folder: Path,
    workers: int = 1,
    progress: bool = True,
) -> list[Run]:
    """Run all cases; clips that `folder` holds already of the same tracker are not run again."""
    folder.mkdir(parents=True, exist_ok=True)
    key = spec.fingerprint()
    jobs = [(spec, key, folder, case) for case in cases]
    if workers == 1:
        done: Iterable[list[Run]] = map(_collect_one, jobs)
        return _all(tqdm(done, "clips", len(jobs), disable=not progress))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        found = pool.map(_collect_one, jobs)
        return _all(tqdm(found, "clips", len(jobs), disable=not progress))


def _all(runs: Iterable[list[Run]]) -> list[Run]:
    return list(chain.from_iterable(runs))


_ARRAYS = ("features", "doubt", "found", "iou", "visible")


def _collect_one(job: tuple[TrackerSpec, str, Path, ClipCases]) -> list[Run]:
    spec, key, folder, cases = job
    shown = [case.fingerprint() for case in (cases.plain, *cases.absences)]
    path = folder / (hashlib.sha256(" ".join((key, *shown)).encode()).hexdigest()[:20] + ".npz")
    kinds = [PLAIN, *(case.kind for case in cases.absences)]
    if path.is_file():
        with np.load(path) as data:
            return [
                Run(cases.clip, cases.group, kind, *(data[f"{name}{i}"] for name in _ARRAYS))
                for i, kind in enumerate(kinds)
            ]
    tracker = spec.build()
    assert isinstance(tracker, Tracker)
    runs = record(tracker, cases)
    partial = path.with_suffix(".partial.npz")
    values = {f"{name}{i}": getattr(run, name) for i, run in enumerate(runs) for name in _ARRAYS}
    np.savez(partial, **values)
    partial.replace(path)
    return runs


def record(tracker: Tracker, cases: ClipCases) -> list[Run]:
    """Track one clip and its absences, and keep what was seen in every frame after the first.

    The plain run comes first, the absences in the order given. Frames that a run shares with the
    plain one are told in that one alone.
    """
    notes = _Notes(tracker)
    runs: dict[int, Run] = {}
    for index, frame in enumerate(cases.plain.images()):
        if index == 0:
            tracker.init(frame, cases.plain.init_box_xywh)
            continue
        for place, case in enumerate(cases.absences):
            if case.first_changed == index:
                branch = copy.deepcopy(notes)
                for changed in islice(case.images(), index, None):
                    branch.update(changed)
                told = branch.run(cases, case.kind, case.truth_xywh, case.visibility)
                told.iou[: index - 1] = np.nan
                runs[place] = told
        notes.update(frame)
    truth = cases.plain.truth_xywh
    plain = notes.run(cases, PLAIN, truth, has_area(truth).astype(float))
    return [plain, *(runs[place] for place in range(len(cases.absences)))]


@dataclass
class _Notes:
    """A tracker, and what it said in the frames so far."""

    tracker: Tracker
    usual: Usual = field(default_factory=Usual)
    rows: list[tuple[float, ...]] = field(default_factory=list)
    doubt: list[float] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    boxes: list[BoxXYWH] = field(default_factory=list)
    followed: list[bool] = field(default_factory=list)

    def update(self, frame: Frame) -> None:
        """One more frame."""
        track = self.tracker.update(frame)
        evidence, usual = track.evidence, self.usual
        self.rows.append(features(evidence, usual) if evidence else (0.0,) * len(FEATURES))
        self.doubt.append(doubt(evidence, usual) if evidence else 0.0)
        self.found.append(evidence is not None)
        self.boxes.append(track.box_xywh)
        self.followed.append(track.followed)
        if evidence is not None:
            learned = may_learn(track.state, track.presence, evidence, usual, self.tracker.config)
            self.usual = usual.after(evidence, track.state is TrackState.TRACKING, learned)

    def run(
        self, cases: ClipCases, kind: str, truth_xywh: np.ndarray, visibility: np.ndarray
    ) -> Run:
        """All of it beside the truth."""
        truth, seen = truth_xywh[1:], visibility[1:]
        visible = seen > 0
        iou = np.where(visible, overlaps(np.array(self.boxes), truth), 0.0)
        # A box that stood still is not where something was found: it says nothing of the find.
        unclear = visible & ((seen < _CLEARLY_VISIBLE) | ~np.array(self.followed))
        iou[unclear] = np.nan
        rows, doubt, found = np.array(self.rows), np.array(self.doubt), np.array(self.found)
        return Run(cases.clip, cases.group, kind, rows, doubt, found, iou, visible)


def save_verifier(metadata_path: Path, verifier: Verifier, patch_size: int) -> None:
    """Put a verifier that was fitted to a size of the picture into a checkpoint's JSON."""
    metadata = json.loads(metadata_path.read_text())
    fitted = metadata.get("verifiers", {}) | {str(patch_size): verifier.to_metadata()}
    metadata["verifiers"] = dict(sorted(fitted.items(), key=lambda item: -int(item[0])))
    metadata_path.write_text(json.dumps(metadata, indent=2) + "\n")
