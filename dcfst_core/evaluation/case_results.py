"""What a tracker did in a clip in which the target is hidden for a while, and in plain ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcfst_core.evaluation.absence import ABRUPT, CROSSING, GRADUAL, AbsenceCase
from dcfst_core.evaluation.calibration import HIT, MISS
from dcfst_core.evaluation.metrics import FloatArray, has_area, overlaps
from dcfst_core.evaluation.one_pass import run_one_pass, run_sequence
from dcfst_core.evaluation.results import SequenceResult
from dcfst_core.evaluation.sequences import AnnotatedClip
from dcfst_core.evaluation.trackers import OnlineTracker, TrackerSpec

PLAIN = "plain"
# A target that shows less than this is neither in view nor absent: nobody is blamed for either.
IN_VIEW = 0.5


@dataclass(frozen=True)
class Verdict:
    """What one case comes to.

    held_before: the tracker was on the target in the last frame before anything was hidden, that
    is, had it in the box (`calibration.HIT`). lost_after: frames of absence until it said "lost",
    None if never. found_after: frames from the first one after the absence that shows half of the
    target until it tracked it, None if never. relocked: after it said "lost" (or, if it never did,
    after the absence) it tracked something else: overlap under `calibration.MISS`, or anything
    while the target was absent.
    For "crossing" there is no absence: relocked says that the look-alike was followed.
    """

    sequence: str
    kind: str
    duration: int
    held_before: bool
    lost_after: int | None
    found_after: int | None
    relocked: bool
    false_frames: int
    absent_frames: int


@dataclass(frozen=True)
class CaseResult:
    """A tracker's run over one case, with what is needed to judge it.

    sequence: name of the clip. kind: kind of absence, "plain" for a clip as it is. absent: first
    absent frame and the first one after. truth_xywh: (N, 4), NaN where absent. visibility: (N,)
    the share of the target that is seen.
    """

    sequence: str
    kind: str
    duration: int
    absent: tuple[int, int]
    truth_xywh: FloatArray
    visibility: FloatArray
    result: SequenceResult

    @property
    def overlaps(self) -> FloatArray:
        """Intersection over union of each frame (N,); 0 where the target is absent."""
        return np.nan_to_num(overlaps(self.result.boxes_xywh, self.truth_xywh))

    @property
    def tracking(self) -> NDArray[np.bool_]:
        """Frames reported as tracking (N,); a tracker without states always says so."""
        return np.isin(self.result.states, ("tracking", ""))

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Frames reported as lost (N,)."""
        return np.array([state == "lost" for state in self.result.states])

    @property
    def in_view(self) -> NDArray[np.bool_]:
        """Frames (N,) that show at least half of the target; the given first one is left out."""
        seen = self.visibility >= IN_VIEW
        seen[0] = False
        return np.asarray(seen)

    @property
    def gone(self) -> NDArray[np.bool_]:
        """Frames (N,) that show nothing of the target."""
        return np.asarray(self.visibility == 0)

    @property
    def held_before(self) -> bool:
        """Whether the tracker was on the target in the last frame before anything was hidden."""
        clear = np.flatnonzero(self.visibility[: self.absent[0]] == 1)
        return bool(self.overlaps[clear[-1]] >= HIT)

    def verdict(self) -> Verdict:
        """Read off the run what it comes to."""
        start, stop = self.absent
        iou, tracking = self.overlaps, self.tracking
        gone = self.gone & (np.arange(len(iou)) >= start)
        wrong = tracking & (gone | (self.in_view & (iou < MISS)))
        lost_after = found_after = None
        if self.kind in (*ABRUPT, *GRADUAL):
            said = np.flatnonzero(self.lost[start:stop])
            lost_after = int(said[0]) + 1 if len(said) else None
            back = np.flatnonzero(self.in_view[stop:])
            if len(back):
                since = stop + int(back[0])
                found = np.flatnonzero((tracking & (iou >= HIT))[since:])
                found_after = int(found[0]) + 1 if len(found) else None
        first = start if self.kind == CROSSING else stop
        if lost_after is not None:
            first = start + lost_after - 1
        return Verdict(
            self.sequence,
            self.kind,
            self.duration,
            held_before=self.held_before,
            lost_after=lost_after,
            found_after=found_after,
            relocked=bool(wrong[first:].any()),
            false_frames=int((tracking & self.gone).sum()),
            absent_frames=int(self.gone.sum()),
        )


def run_case(tracker: OnlineTracker, case: AbsenceCase) -> CaseResult:
    """Run a tracker over one case."""
    return case_result(case, run_sequence(tracker, case))


def run_cases(
    spec: TrackerSpec,
    cases: Sequence[AbsenceCase],
    out: Path,
    workers: int = 1,
    progress: bool = True,
    repeat: bool = False,
) -> list[CaseResult]:
    """Run a tracker over cases as `run_one_pass` does: in processes, and kept case by case."""
    found = run_one_pass(spec, cases, out, workers, progress, repeat)
    return [case_result(case, found[case.name]) for case in cases]


def case_result(case: AbsenceCase, result: SequenceResult) -> CaseResult:
    """Put a case and a run over it together."""
    return CaseResult(
        case.sequence.name,
        case.kind,
        case.duration,
        case.absent,
        case.truth_xywh,
        case.visibility,
        result,
    )


def plain_results(
    results: Mapping[str, SequenceResult], sequences: Sequence[AnnotatedClip]
) -> list[CaseResult]:
    """The runs over clips as they are, to be judged beside the absences."""
    found = []
    for sequence in sequences:
        truth = sequence.truth_xywh
        end = len(truth)
        seen = has_area(truth).astype(np.float64)
        found.append(
            CaseResult(sequence.name, PLAIN, 0, (end, end), truth, seen, results[sequence.name])
        )
    return found


def with_threshold(results: Sequence[CaseResult], threshold: float) -> list[CaseResult]:
    """Report a frame as tracking where the score reaches a threshold, else as lost."""
    return [
        replace(
            r,
            result=replace(
                r.result,
                states=tuple("tracking" if s >= threshold else "lost" for s in r.result.scores),
            ),
        )
        for r in results
    ]


def best_threshold(results: Sequence[CaseResult]) -> float:
    """The score that best tells frames in view from absent ones, for trackers without states.

    It minimises the mean of the share of frames in view below it and the share of absent frames
    not below it. Chosen on the very frames it is judged on, it flatters such a tracker. NaN where
    there are no scores, or no absent frames.
    """
    seen = np.concatenate([r.result.scores[r.in_view] for r in results])
    gone = np.concatenate([r.result.scores[r.gone] for r in results])
    seen, gone = np.sort(seen[np.isfinite(seen)]), np.sort(gone[np.isfinite(gone)])
    if not len(seen) or not len(gone):
        return float("nan")
    candidates = np.unique(np.concatenate((seen, gone)))
    missed = np.searchsorted(seen, candidates) / len(seen)
    false = 1 - np.searchsorted(gone, candidates) / len(gone)
    return float(candidates[np.argmin(missed + false)])
