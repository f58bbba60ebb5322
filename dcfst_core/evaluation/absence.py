"""Synthetic absences: hide the target of a real sequence for a while, in several ways.

Abrupt: "removed" paints the target over from its surroundings, "covered" puts another part of the
frame on it, "cut" shows another scene. Gradual: "slid" slides a textured patch over the target
within about twenty frames, which then moves with it and slides off; "passed" has the target pass
behind a patch that stands still in the image. "crossing" hides nothing: a copy of the target's own
pixels comes by behind it.

Frames are drawn when they are asked for, and every case is the same each time. Clips are played to
and fro, so that a clip of fifty frames can hide its target for three hundred.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from dcfst_core.boxes import BoxXYWH
from dcfst_core.evaluation.metrics import FloatArray, has_area
from dcfst_core.evaluation.occluders import (
    cover_target,
    draw_copy,
    draw_patch,
    grown,
    remove_target,
    visible_fraction,
)
from dcfst_core.evaluation.passing import passing_order
from dcfst_core.evaluation.playing import IntArray, to_and_fro
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.synthetic import texture
from dcfst_core.media.video import Frame, read_image

ABRUPT = ("removed", "covered", "cut")
GRADUAL = ("slid", "passed")
CROSSING = "crossing"
KINDS = (*ABRUPT, *GRADUAL, CROSSING)
DURATIONS = (30, 100, 300)

# Frames before the absence and after it; what they are was chosen for the first such test.
BEFORE, AFTER = 30, 40
SHORTEST_CLIP = 10
# A patch covers a target with a margin: published boxes are tight, and cut off arms and legs.
PATCH = 1.5
SLIDE_STEP = 0.05  # of the target's size a frame: from just touching to covered in 20 frames
SLIDE = round((PATCH + 1) / 2 / SLIDE_STEP)
CROSSING_FRAMES = 40
CROSSING_REACH = 2.4  # sizes to either side: from the edge of a search area of five sizes
# Raise it when the same arguments draw other pixels, so that no old result is taken for a new one.
DRAWING = 1


@dataclass(frozen=True)
class AbsenceCase:
    """One sequence with one absence; a `AnnotatedClip` whose frames are drawn on the fly.

    order: (N,) frames of the sequence that are shown. absent: the first absent frame and the first
    one after the absence; for "crossing" the span in which the copy is there. duration: absent
    frames asked for. patches_xywh: (N, 4) what is drawn (for "crossing" the copy), NaN where
    nothing is. other: what a "cut" shows; None for a scene made of noise.
    """

    sequence: AnnotatedSequence
    kind: str
    duration: int
    order: IntArray
    absent: tuple[int, int]
    patches_xywh: FloatArray
    other: AnnotatedSequence | None = None

    @property
    def name(self) -> str:
        """Unique among cases of one data set; the folder of its results."""
        return f"{self.sequence.name}.{self.kind}.{self.duration}"

    @property
    def origin(self) -> int:
        """As in the sequence's own files."""
        return self.sequence.origin

    @property
    def init_box_xywh(self) -> BoxXYWH:
        """The true box of the first frame that is shown."""
        x, y, w, h = (float(v) for v in self.truth_xywh[0])
        return (x, y, w, h)

    @property
    def first_changed(self) -> int:
        """The first frame that is not the sequence's own."""
        drawn = np.isfinite(self.patches_xywh[:, 0])
        return int(drawn.argmax()) if drawn.any() else self.absent[0]

    @cached_property
    def visibility(self) -> FloatArray:
        """The share of the true box that can be seen in each frame (N,), 0 where absent."""
        boxes = self.sequence.truth_xywh[self.order]
        if self.kind in GRADUAL:
            visible = visible_fraction(filled(boxes), self.patches_xywh)
        else:
            visible = np.ones(len(boxes))
            if self.kind in ABRUPT:
                visible[slice(*self.absent)] = 0.0
        return np.where(has_area(boxes), visible, 0.0)

    @cached_property
    def truth_xywh(self) -> FloatArray:
        """True boxes (N, 4), NaN where nothing of the target can be seen."""
        boxes = self.sequence.truth_xywh[self.order]
        boxes[self.visibility == 0] = np.nan
        return boxes

    def images(self) -> Iterator[Frame]:
        """Yield the RGB frames."""
        boxes = filled(self.sequence.truth_xywh)[self.order]
        for index, place in enumerate(self.order):
            frame = read_image(self.sequence.frames[place])
            hidden = self.absent[0] <= index < self.absent[1]
            if hidden and self.kind == "removed":
                frame = remove_target(frame, boxes[index])
            elif hidden and self.kind == "covered":
                frame = cover_target(frame, boxes[index])
            elif hidden and self.kind == "cut":
                frame = self._other_scene(index, frame)
            elif not np.isnan(self.patches_xywh[index, 0]):
                patch = self.patches_xywh[index]
                if self.kind == CROSSING:
                    frame = draw_copy(frame, boxes[index], patch)
                else:
                    frame = draw_patch(frame, patch, _seed(self.sequence.name))
            yield frame

    def fingerprint(self) -> str:
        """Digest of what is shown."""
        digest = hashlib.sha256(self.order.tobytes() + self.patches_xywh.tobytes())
        other = self.other.fingerprint() if self.other else None
        shown = (DRAWING, self.sequence.fingerprint(), self.kind, self.absent, other)
        digest.update(repr(shown).encode())
        return digest.hexdigest()[:16]

    def _other_scene(self, index: int, frame: Frame) -> Frame:
        size = (frame.shape[1], frame.shape[0])
        if self.other is None:
            return texture(np.random.default_rng(_seed(self.sequence.name)), size, 24, 60.0)
        scene = read_image(self.other.frames[index % len(self.other.frames)])
        return np.asarray(cv2.resize(scene, size), dtype=np.uint8)


def absence_cases(
    sequences: Sequence[AnnotatedSequence],
    kinds: Sequence[str] = KINDS,
    durations: Sequence[int] = DURATIONS[:1],
) -> list[AbsenceCase]:
    """Make every kind of absence with every duration (frames) for each sequence.

    Left out: sequences under ten frames or without published boxes, and "passed" where the target
    moves too little to pass behind anything. "crossing" has one duration. ValueError names an
    unknown kind or a duration under 1.
    """
    unknown = next((k for k in kinds if k not in KINDS), None)
    if unknown is not None:
        raise ValueError(f"expected absences out of {', '.join(KINDS)}; got {unknown!r}")
    if min(durations, default=1) < 1:
        raise ValueError(f"expected absences of 1 frame and more; got {min(durations)}")
    usable = [s for s in sequences if len(s.frames) >= SHORTEST_CLIP and s.has_truth]
    cases = []
    for index, sequence in enumerate(usable):
        other = _another_scene(sequence, [*usable[index + 1 :], *usable[:index]])
        for kind in kinds:
            lead = SLIDE if kind == "slid" else 0
            first = _seen_until(sequence, lead) - lead
            shown = other if kind == "cut" else None
            for duration in durations[:1] if kind == CROSSING else durations:
                if kind == "passed":
                    cases += _passed(sequence, duration)
                else:
                    cases.append(absence_case(sequence, kind, first, duration, AFTER, shown))
    return cases


def filled(truth_xywh: FloatArray) -> FloatArray:
    """Boxes with absent ones replaced by the last known, so that there is a place to hide."""
    boxes = truth_xywh.copy()
    present = has_area(boxes)
    for index in range(1, len(boxes)):
        if not present[index]:
            boxes[index] = boxes[index - 1]
    return boxes


def absence_case(
    sequence: AnnotatedSequence,
    kind: str,
    first: int,
    duration: int,
    after: int = AFTER,
    other: AnnotatedSequence | None = None,
) -> AbsenceCase:
    """One absence of which something can be seen from frame `first` on.

    `duration`: absent frames; `after`: frames shown once the target is in view again. `other`:
    what a "cut" shows. ValueError for "passed", whose place the target's path decides.
    """
    if kind == "slid":
        return _slid(sequence, first, duration, after)
    if kind == CROSSING:
        return _crossing(sequence, first, after)
    if kind not in ABRUPT:
        raise ValueError(f"expected one of {', '.join((*ABRUPT, 'slid', CROSSING))}; got {kind!r}")
    order = to_and_fro(len(sequence.frames), first + duration + after)
    nothing = np.full((len(order), 4), np.nan)
    return AbsenceCase(sequence, kind, duration, order, (first, first + duration), nothing, other)


def _slid(sequence: AnnotatedSequence, first: int, duration: int, after: int) -> AbsenceCase:
    slack = (PATCH - 1) / 2  # offsets up to this, in sizes of the target, cover it
    start = first + SLIDE
    stop = start + duration
    order = to_and_fro(len(sequence.frames), stop + SLIDE + after)
    time = np.arange(len(order))
    # A hair inside the slack, so that rounding leaves no sliver of the target.
    ahead, behind = start - time, time - (stop - 1)
    offset = np.maximum(slack - 0.01 + SLIDE_STEP * np.maximum(ahead, behind), 0)
    offset = np.where(ahead > behind, offset, -offset)
    # From one of four sides, by name; the patch goes on to the other side.
    side = _seed(sequence.name) % 4
    direction = np.array([(1, 0), (-1, 0), (0, 1), (0, -1)][side], dtype=np.float64)
    boxes = filled(sequence.truth_xywh)[order]
    patches = grown(boxes, PATCH)
    patches[:, :2] += offset[:, None] * direction * boxes[:, 2:]
    patches[np.abs(offset) >= (PATCH + 1) / 2] = np.nan
    return AbsenceCase(sequence, "slid", duration, order, (start, stop), patches)


def _passed(sequence: AnnotatedSequence, duration: int) -> list[AbsenceCase]:
    found = passing_order(sequence.truth_xywh, PATCH, BEFORE, duration, AFTER)
    if found is None:
        return []
    patches = np.tile(found.patch_xywh, (len(found.order), 1))
    return [AbsenceCase(sequence, "passed", duration, found.order, found.absent, patches)]


def _crossing(sequence: AnnotatedSequence, start: int, after: int) -> AbsenceCase:
    stop = start + CROSSING_FRAMES
    order = to_and_fro(len(sequence.frames), stop + after)
    boxes = filled(sequence.truth_xywh)[order]
    offset = np.linspace(CROSSING_REACH, -CROSSING_REACH, CROSSING_FRAMES)[:, None]
    copies = np.full((len(order), 4), np.nan)
    copies[start:stop] = boxes[start:stop]
    # Along the side in which the frame has more room for it: mostly across.
    centre = (boxes[start, :2] + boxes[start, 2:] / 2) / _frame_size(sequence)
    along = int(abs(centre[1] - 0.5) < abs(centre[0] - 0.5))
    copies[start:stop, along] += offset[:, 0] * boxes[start:stop, 2 + along]
    return AbsenceCase(sequence, CROSSING, CROSSING_FRAMES, order, (start, stop), copies)


def _frame_size(sequence: AnnotatedSequence) -> FloatArray:
    """Width, height of the first frame."""
    return np.array(read_image(sequence.frames[0]).shape[1::-1], dtype=np.float64)


def _seen_until(sequence: AnnotatedSequence, lead: int) -> int:
    """The first frame from BEFORE + lead on with the target in view in the five before it.

    BEFORE + lead where there is none.
    """
    first = BEFORE + lead
    present = has_area(sequence.truth_xywh)[
        to_and_fro(len(sequence.frames), first + 2 * len(sequence.frames))
    ]
    seen = [i for i in range(first, len(present)) if present[i - lead - 5 : i].all()]
    return seen[0] if seen else first


def _another_scene(
    sequence: AnnotatedSequence, others: Sequence[AnnotatedSequence]
) -> AnnotatedSequence | None:
    """The first sequence that shares no frame with this one: some videos have two targets."""
    own = set(sequence.frames)
    return next((s for s in others if not own & set(s.frames)), None)


def _seed(name: str) -> int:
    return zlib.crc32(name.encode())
