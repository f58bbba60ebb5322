"""OTB's sequences whose boxes are not for all of their images, as published."""

from __future__ import annotations

import warnings
from pathlib import Path

from dcfst_core.evaluation.metrics import FloatArray
from dcfst_core.evaluation.sequences import DatasetError, DatasetWarning

# Numbers of the first and the last annotated image. The benchmark's own configuration
# (tracker_benchmark, matlab/util/MakeSequenceConfigVer10.m) has David, Football1 and the Freemans;
# Diving has 215 boxes for 231 images; the images of the BlurCars begin late; Tiger1 has a box for
# each image, and OTB2015's toolkit starts it at image 6.
OTB_SPANS = {
    "blurcar1": (247, 988),
    "blurcar3": (3, 359),
    "blurcar4": (18, 397),
    "david": (300, 770),
    "diving": (1, 215),
    "football1": (1, 74),
    "freeman3": (1, 460),
    "freeman4": (1, 283),
    "tiger1": (6, 354),
}


def annotated_span(
    path: Path, frames: tuple[Path, ...], boxes: FloatArray
) -> tuple[tuple[Path, ...], FloatArray]:
    """The images and boxes that belong together.

    `path`: the file of the boxes, in the sequence's folder. Raises DatasetError where there are
    fewer boxes than images in a sequence that was published whole; where one that was not has an
    unknown number of boxes, a DatasetWarning says what is used.
    """
    name = path.parent.name
    span = OTB_SPANS.get(name.lower())
    if len(boxes) == 1 or (len(boxes) >= len(frames) and span is None):
        return frames, boxes
    if span is None:
        raise DatasetError(
            f"{path}: expected one box for each of {len(frames)} images; the file ends after "
            f"{len(boxes)}"
        )
    numbers = [int(frame.stem) if frame.stem.isdigit() else 0 for frame in frames]
    first, last = span
    if len(boxes) == len(frames):
        kept = [i for i, number in enumerate(numbers) if number >= first] or [0]
        return frames[kept[0] :], boxes[kept[0] :]
    inside = tuple(f for f, n in zip(frames, numbers, strict=True) if first <= n <= last)
    if len(inside) > len(boxes):
        warnings.warn(
            f"{path}: expected {len(inside)} boxes, for the images {first} to {last}; the file "
            f"ends after {len(boxes)}, and the sequence with it",
            DatasetWarning,
            stacklevel=2,
        )
    return inside[: len(boxes)] if inside else frames[: len(boxes)], boxes
