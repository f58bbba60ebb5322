"""Several starts a clip: the given box, and boxes that a hand might have drawn as well."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dcfst_core.boxes import BoxXYWH
from dcfst_core.evaluation.sequences import AnnotatedSequence

JITTER = 0.02


def with_starts(
    sequences: Sequence[AnnotatedSequence], starts: int, jitter: float = JITTER
) -> list[AnnotatedSequence]:
    """Return `starts` sequences for each: with its own box, and with jittered ones.

    `jitter`: standard deviation of the centre's shift and of the change of size, as a share of the
    size. The boxes depend on the sequence's name alone, so that they are the same in every run.
    """
    return [
        replace(
            sequence,
            name=f"{sequence.name}.start{start}",
            clip=sequence.clip or sequence.name,
            start_xywh=_jittered(sequence, start, jitter),
        )
        if start
        else sequence
        for sequence in sequences
        for start in range(starts)
    ]


def _jittered(sequence: AnnotatedSequence, start: int, jitter: float) -> BoxXYWH:
    rng = np.random.default_rng((zlib.crc32(sequence.name.encode()), start))
    shift_x, shift_y, log_w, log_h = rng.normal(0, jitter, 4)
    x, y, w, h = sequence.init_box_xywh
    wide, high = w * float(np.exp(log_w)), h * float(np.exp(log_h))
    return (
        x + w / 2 + float(shift_x) * w - wide / 2,
        y + h / 2 + float(shift_y) * h - high / 2,
        wide,
        high,
    )
