"""The three kinds of region in VOT's ground truth files, as bounding boxes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dcfst_core.evaluation.metrics import FloatArray
from dcfst_core.evaluation.sequences import DatasetError, lines_of


def read_regions(path: Path) -> FloatArray:
    """Read a VOT ground truth file into bounding boxes (N, 4); NaN where the target is absent."""
    boxes = []
    for number, line in lines_of(path):
        try:
            boxes.append(region_box(line))
        except DatasetError as error:
            raise DatasetError(f"{path}, line {number}: {error}") from None
    if not boxes:
        raise DatasetError(f"{path}: expected one region a line; the file is empty")
    return np.array(boxes, dtype=np.float64)


def region_box(line: str) -> list[float]:
    """Return the bounding box x, y, w, h of one line of a VOT ground truth file.

    The line is a rectangle `x,y,w,h`, a polygon `x,y,x,y,…`, a mask `mx,y,w,h,runs…` or a special
    code; NaN where it has no area. DatasetError for anything else.
    """
    text = line.strip()
    if text.lower() in ("nan", "none", ""):
        return [np.nan] * 4
    try:
        values = [float(v) for v in re.split(r"[,;\s]+", text.lstrip("m").strip(",; "))]
    except ValueError:
        values = []
    if text.startswith("m") and len(values) > 4:
        return _mask_box([int(v) for v in values]) if np.isfinite(values).all() else [np.nan] * 4
    if len(values) == 4:
        usable = np.isfinite(values).all() and values[2] > 0 and values[3] > 0
        return values if usable else [np.nan] * 4
    if len(values) >= 6 and len(values) % 2 == 0:
        if not np.isfinite(values).all():
            return [np.nan] * 4
        xs, ys = values[0::2], values[1::2]
        return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    if len(values) == 1:  # a special code: 0 unknown, 1 initialisation, 2 failure
        return [np.nan] * 4
    raise DatasetError(f"expected a VOT rectangle, polygon or mask; got {line!r}")


def _mask_box(values: list[int]) -> list[float]:
    """Bounding box of a run-length mask: runs of 0 and 1 in turn, row by row, in x, y, w, h.

    From the runs alone: a line of a few bytes may speak of a mask of any size.
    """
    x, y, w, h, *runs = values
    if min(w, h, *runs) < 0:
        raise DatasetError("expected a mask of sizes and runs of 0 or more; got negative ones")
    left, top, right, bottom = w, h, 0, 0
    end = 0
    for index, run in enumerate(runs):
        start, end = end, min(end + run, w * h)
        if index % 2 == 0 or start == end:
            continue
        (first, column), (last, last_column) = divmod(start, w), divmod(end - 1, w)
        top, bottom = min(top, first), max(bottom, last + 1)
        # A run over the end of a row reaches both of its ends.
        left = min(left, column if first == last else 0)
        right = max(right, last_column + 1 if first == last else w)
    if right <= left:
        return [np.nan] * 4
    return [float(x + left), float(y + top), float(right - left), float(bottom - top)]
