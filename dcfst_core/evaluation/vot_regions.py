"""The three kinds of region in VOT's ground truth files, as bounding boxes."""

from __future__ import annotations

import numpy as np

from dcfst_core.evaluation.sequences import DatasetError


def region_box(line: str) -> list[float]:
    """Return the bounding box x, y, w, h of one line of a VOT ground truth file.

    The line is a rectangle `x,y,w,h`, a polygon `x,y,x,y,…`, a mask `mx,y,w,h,runs…` or a special
    code; NaN where it has no area. DatasetError for anything else.
    """
    text = line.strip()
    try:
        values = [float(v) for v in text.lstrip("m").split(",")]
    except ValueError:
        values = []
    if text.startswith("m") and len(values) > 4:
        return _mask_box([int(v) for v in values])
    if len(values) == 4:
        usable = values[2] > 0 and values[3] > 0
        return values if usable else [np.nan] * 4
    if len(values) >= 6 and len(values) % 2 == 0:
        xs, ys = values[0::2], values[1::2]
        return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    if len(values) == 1:  # a special code: 0 unknown, 1 initialisation, 2 failure
        return [np.nan] * 4
    raise DatasetError(f"expected a VOT rectangle, polygon or mask; got {line!r}")


def _mask_box(values: list[int]) -> list[float]:
    """Bounding box of a run-length mask: runs of 0 and 1 in turn, row by row, in x, y, w, h."""
    x, y, w, h, *runs = values
    bits = np.repeat(np.arange(len(runs)) % 2, runs)[: w * h]
    mask = np.zeros(w * h, dtype=bool)
    mask[: len(bits)] = bits == 1
    rows, columns = np.nonzero(mask.reshape(h, w)) if w * h else (np.zeros(0), np.zeros(0))
    if not len(rows):
        return [np.nan] * 4
    left, top = float(x + columns.min()), float(y + rows.min())
    return [left, top, float(np.ptp(columns) + 1), float(np.ptp(rows) + 1)]
