"""Short clips played to and fro: as long as one likes, and the last pass shows what was forgotten.

Going back and forth keeps motion continuous; nothing but the order of the frames is made up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dcfst_core.evaluation.conventions import STRICT
from dcfst_core.evaluation.metrics import score_sequence
from dcfst_core.evaluation.results import SequenceResult
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.tables import format_table

IntArray = NDArray[np.int64]
# A pass is the middle of a run: its first frame was not given.
EVERY_FRAME = replace(STRICT, name="every frame", first_frame=True)


def to_and_fro(length: int, frames: int) -> IntArray:
    """Return `frames` indices 0, 1 … length - 1, length - 2 … 0, 1 … into a clip."""
    if length == 1:
        return np.zeros(frames, dtype=np.int64)
    step = np.arange(frames) % (2 * (length - 1))
    return np.asarray(np.minimum(step, 2 * (length - 1) - step), dtype=np.int64)


def wander(length: int, frames: int, end: int) -> IntArray:
    """Return `frames` indices from 0 on that go to and fro in a clip and stop at index `end`.

    No step is longer than 1; a step of 0 comes in where the count asks for it. ValueError where
    `end` cannot be reached.
    """
    if not 0 <= end < min(length, frames):
        raise ValueError(f"expected an end below {min(length, frames)}; got {end}")
    places, direction = [0], 1
    for left in range(frames - 2, -1, -1):
        here = places[-1]
        if not 0 <= here + direction < length:
            direction = -direction
        there = here + direction if length > 1 else here
        if abs(end - there) > left:
            there = here + int(np.sign(end - here))
        places.append(there)
    return np.array(places, dtype=np.int64)


def play(sequence: AnnotatedSequence, frames: int) -> AnnotatedSequence:
    """Return a sequence of `frames` frames, to and fro; its name tells so."""
    order = to_and_fro(len(sequence.frames), frames)
    return replace(
        sequence,
        name=f"{sequence.name}.to-and-fro",
        frames=tuple(sequence.frames[i] for i in order),
        truth_xywh=sequence.truth_xywh[order],
    )


def first_and_last_pass(length: int, frames: int) -> tuple[slice, slice]:
    """Return the frames of the first and of the last whole pass over a clip of `length` frames.

    The very first frame is the given one and belongs to no pass. ValueError where the clip is not
    played to its end twice.
    """
    passes = (frames - 1) // max(length - 1, 1)
    if length < 2 or passes < 2:
        raise ValueError(
            f"expected two whole passes; {frames} frames of a clip of {length} hold {passes}"
        )
    start = 1 + (passes - 1) * (length - 1)
    return slice(1, length), slice(start, start + length - 1)


def forgetting(
    results: Mapping[str, SequenceResult],
    played: Sequence[AnnotatedSequence],
    lengths: Sequence[int],
) -> dict[str, tuple[float, float]]:
    """Return the success AUC of the first and of the last whole pass by name of the clip.

    `lengths`: the clips' own lengths. Frames with an absent target are left out.
    """
    found = {}
    for sequence, length in zip(played, lengths, strict=True):
        boxes, truth = results[sequence.name].boxes_xywh, sequence.truth_xywh
        first, last = (
            score_sequence(boxes[part], truth[part], convention=EVERY_FRAME).auc
            for part in first_and_last_pass(length, len(truth))
        )
        found[sequence.name] = (first, last)
    return found


def forgetting_table(aucs: Mapping[str, tuple[float, float]]) -> str:
    """One line a clip: AUC of the first pass, of the last, and what was lost in between."""
    rows = [(name, first, last, last - first) for name, (first, last) in aucs.items()]
    first, last, change = np.nanmean([row[1:] for row in rows], axis=0).tolist()
    rows.append(("mean", first, last, change))
    return format_table(("AUC", "first pass", "last pass", "difference"), rows)
