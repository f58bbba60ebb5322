"""Synthetic absences: hide the target of a real sequence for a while and see what is reported.

Three kinds, each on the sequence's own frames: "removed" paints the target over from its
surroundings, "covered" puts a patch from elsewhere in the frame on it, "cut" shows another
sequence. The video goes on meanwhile, so that the target comes back where it then is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from tqdm import tqdm

from dcfst_core.evaluation.metrics import FloatArray, has_area, overlaps
from dcfst_core.evaluation.one_pass import run_frames
from dcfst_core.evaluation.results import SequenceResult
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.tables import format_table
from dcfst_core.evaluation.trackers import OnlineTracker
from dcfst_core.media.video import Frame, read_image

KINDS = ("removed", "covered", "cut")
BEFORE = 30
ABSENT = 30
AFTER = 30
LOST_WITHIN = 10
FOUND_WITHIN = 20
ON_TARGET = 0.5
OFF_TARGET = 0.1


@dataclass(frozen=True)
class AbsenceCase:
    """What a tracker did on one sequence with one absence.

    held_before: whether it was on the target just before. lost_after: frames of absence until it
    said "lost", None if never. found_after: frames from the return until it tracked the target
    again (IoU above 0.5), None if never. relocked: whether, once lost, it tracked something else
    (IoU under 0.1, or anything while the target was absent). false_frames: absent frames reported
    as "tracking". absent_frames: their number.
    """

    sequence: str
    kind: str
    held_before: bool
    lost_after: int | None
    found_after: int | None
    relocked: bool
    false_frames: int
    absent_frames: int


def measure_absences(
    tracker: OnlineTracker,
    sequences: Sequence[AnnotatedSequence],
    kinds: Sequence[str] = KINDS,
    progress: bool = True,
) -> list[AbsenceCase]:
    """Run a tracker over each sequence with each kind of absence; short ones are left out."""
    usable = [s for s in sequences if len(s.frames) >= BEFORE + 10 + 10]
    cases = []
    with tqdm(total=len(usable) * len(kinds), unit="case", disable=not progress) as bar:
        for index, sequence in enumerate(usable):
            shown = replace(
                sequence,
                frames=sequence.frames[: BEFORE + ABSENT + AFTER],
                truth_xywh=sequence.truth_xywh[: BEFORE + ABSENT + AFTER],
            )
            start, stop = absence_span(len(shown.frames))
            other = usable[(index + 1) % len(usable)]
            for kind in kinds:
                bar.set_postfix_str(f"{sequence.name} {kind}")
                frames = absence_frames(shown, kind, start, stop, other)
                result = run_frames(tracker, frames, shown.init_box_xywh)
                cases.append(judge_absence(shown, kind, result, start, stop))
                bar.update()
    return cases


def absence_span(frames: int) -> tuple[int, int]:
    """First absent frame and first frame of the return; a third each where frames are few."""
    start = min(BEFORE, frames // 3)
    return start, start + min(ABSENT, (frames - start) // 2)


def absence_frames(
    sequence: AnnotatedSequence, kind: str, start: int, stop: int, other: AnnotatedSequence
) -> Iterator[Frame]:
    """Yield the sequence's RGB frames with its target absent in frames `start` to `stop` - 1."""
    hidden = _filled(sequence.truth_xywh)
    for index, path in enumerate(sequence.frames):
        frame = read_image(path)
        if start <= index < stop:
            if kind == "cut":
                scene = read_image(other.frames[index % len(other.frames)])
                size = (frame.shape[1], frame.shape[0])
                frame = np.asarray(cv2.resize(scene, size), dtype=np.uint8)
            elif kind == "removed":
                frame = remove_target(frame, hidden[index])
            elif kind == "covered":
                frame = cover_target(frame, hidden[index])
            else:
                raise ValueError(f"expected an absence out of {', '.join(KINDS)}; got {kind!r}")
        yield frame


def judge_absence(
    sequence: AnnotatedSequence, kind: str, result: SequenceResult, start: int, stop: int
) -> AbsenceCase:
    """Read off one run what it reported; `start`, `stop`: the absent frames."""
    iou = np.nan_to_num(overlaps(result.boxes_xywh, sequence.truth_xywh))
    tracking = np.array([s == "tracking" for s in result.states])
    lost = [i for i in range(start, stop) if result.states[i] == "lost"]
    found = np.flatnonzero(tracking[stop:] & (iou[stop:] > ON_TARGET))
    present = has_area(sequence.truth_xywh)
    wrong = tracking & ((iou < OFF_TARGET) & present)
    wrong[start:stop] = tracking[start:stop]
    return AbsenceCase(
        sequence.name,
        kind,
        held_before=bool(iou[start - 1] > ON_TARGET),
        lost_after=lost[0] - start + 1 if lost else None,
        found_after=int(found[0]) + 1 if len(found) else None,
        relocked=bool(lost and wrong[lost[0] :].any()),
        false_frames=int(tracking[start:stop].sum()),
        absent_frames=stop - start,
    )


def absence_table(cases: Sequence[AbsenceCase]) -> str:
    """Shares over the cases in which the target was held when it vanished, by kind and in all."""
    rows = []
    for kind in (*dict.fromkeys(c.kind for c in cases), "all"):
        chosen = [c for c in cases if c.held_before and kind in (c.kind, "all")]
        rows.append((kind, len(chosen), *_shares(chosen)))
    headers = (
        *("absence", "cases", f"lost within {LOST_WITHIN}", f"found within {FOUND_WITHIN}"),
        *("re-locked elsewhere", "false tracking"),
    )
    not_held = sum(not c.held_before for c in cases)
    note = f"\n{not_held} further case(s) had lost the target before it vanished" * bool(not_held)
    return format_table(headers, rows) + note


def remove_target(frame_rgb: Frame, box_xywh: np.ndarray) -> Frame:
    """Paint a box (x, y, w, h), enlarged by a fifth, over from its surroundings."""
    left, top, right, bottom = _grown(box_xywh, 1.2, frame_rgb)
    # Inpainting works on a neighbourhood only: it is slow on a whole frame.
    margin = 16
    x0, y0 = max(left - margin, 0), max(top - margin, 0)
    window = frame_rgb[y0 : bottom + margin, x0 : right + margin]
    mask = np.zeros(window.shape[:2], dtype=np.uint8)
    mask[top - y0 : bottom - y0, left - x0 : right - x0] = 255
    out = frame_rgb.copy()
    if mask.any() and not mask.all():
        painted = cv2.inpaint(np.ascontiguousarray(window), mask, 5, cv2.INPAINT_TELEA)
        out[y0 : bottom + margin, x0 : right + margin] = painted
    return out


def cover_target(frame_rgb: Frame, box_xywh: np.ndarray) -> Frame:
    """Cover a box (x, y, w, h), enlarged by a fifth, with a patch of the frame's far side."""
    left, top, right, bottom = _grown(box_xywh, 1.2, frame_rgb)
    height, width = frame_rgb.shape[:2]
    out = frame_rgb.copy()
    w, h = right - left, bottom - top
    if w <= 0 or h <= 0:
        return out
    x = 0 if left + w / 2 > width / 2 else width - w
    y = 0 if top + h / 2 > height / 2 else height - h
    out[top:bottom, left:right] = frame_rgb[y : y + h, x : x + w]
    return out


def _shares(cases: Sequence[AbsenceCase]) -> tuple[float, float, float, float]:
    if not cases:
        return (float("nan"),) * 4
    count = len(cases)
    return (
        sum(c.lost_after is not None and c.lost_after <= LOST_WITHIN for c in cases) / count,
        sum(c.found_after is not None and c.found_after <= FOUND_WITHIN for c in cases) / count,
        sum(c.relocked for c in cases) / count,
        sum(c.false_frames for c in cases) / sum(c.absent_frames for c in cases),
    )


def _grown(box_xywh: np.ndarray, factor: float, frame: Frame) -> tuple[int, int, int, int]:
    """Enlarge a box about its centre and clip it: left, top, right, bottom in whole pixels."""
    x, y, w, h = (float(v) for v in box_xywh)
    grow_x, grow_y = w * (factor - 1) / 2, h * (factor - 1) / 2
    height, width = frame.shape[:2]
    left, right = (int(np.clip(v, 0, width)) for v in (x - grow_x, np.ceil(x + w + grow_x)))
    top, bottom = (int(np.clip(v, 0, height)) for v in (y - grow_y, np.ceil(y + h + grow_y)))
    return left, top, right, bottom


def _filled(truth_xywh: FloatArray) -> FloatArray:
    """Boxes with absent ones replaced by the last known, so that there is a place to hide."""
    filled = truth_xywh.copy()
    present = has_area(filled)
    for index in range(1, len(filled)):
        if not present[index]:
            filled[index] = filled[index - 1]
    return filled
