"""The field's metrics of single-object tracking, in plain NumPy and float64.

Conventions, stated once:

* Boxes are `xywh` in continuous pixels; predicted and true boxes share one origin.
* A frame whose true box is NaN or has no area is *absent*. Whether it counts, whether the first
  frame does, and how means are taken says a `Convention`; the default leaves both out and gives
  every sequence the same weight.
* A predicted box that is NaN or has no area overlaps nothing and is infinitely far away.
* Thresholds are strict for overlap (`iou > t`) and inclusive for distance (`error <= t`), as in
  the OTB and GOT-10k toolkits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcfst_core.evaluation.conventions import STRICT, Convention

FloatArray = NDArray[np.float64]

OVERLAP_THRESHOLDS: FloatArray = np.linspace(0.0, 1.0, 21)
CENTRE_THRESHOLDS_PX: FloatArray = np.arange(0.0, 51.0)
NORMALISED_THRESHOLDS: FloatArray = np.linspace(0.0, 0.5, 51)
PRECISION_AT_PX = 20
NORMALISED_PRECISION_AT = 0.2


@dataclass(frozen=True)
class SequenceScore:
    """Metrics of one sequence, or their mean over several; NaN where nothing could be measured.

    auc: area under the success curve, the mean of its 21 points (OTB). precision: share of frames
    with a centre error of at most 20 px (OTB). normalised_precision: share with a centre error of
    at most 0.2 of the true box's size (LaSOT). ao, sr50, sr75: mean overlap and share of overlaps
    above 0.5 and 0.75 (GOT-10k). fps: frames a second inside the tracker. frames: frames measured.
    absent_frames: frames without target, of those that the convention takes.
    """

    auc: float
    precision: float
    normalised_precision: float
    ao: float
    sr50: float
    sr75: float
    fps: float
    frames: int
    absent_frames: int

    def to_dict(self) -> dict[str, float | int | None]:
        """Return the fields for JSON; what could not be measured becomes None."""
        return {k: None if v != v else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class FrameErrors:
    """What a convention makes of each frame that it takes (N,); NaN where a frame is left out.

    overlap: intersection over union. centre_px, normalised: distance of the centres. absent:
    frames without target among them.
    """

    overlap: FloatArray
    centre_px: FloatArray
    normalised: FloatArray
    absent: NDArray[np.bool_]


@dataclass(frozen=True)
class Curves:
    """Success over overlap, precision over pixels and over normalised distance."""

    success: FloatArray
    precision: FloatArray
    normalised_precision: FloatArray


def as_boxes(boxes_xywh: ArrayLike) -> FloatArray:
    """Return an (N, 4) float64 array of boxes; ValueError where the shape is another one."""
    boxes = np.asarray(boxes_xywh, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"expected boxes x, y, w, h of shape (N, 4); got shape {boxes.shape}")
    return boxes


def has_area(boxes_xywh: FloatArray) -> NDArray[np.bool_]:
    """Tell which boxes (N, 4) are finite with a positive width and height."""
    return np.isfinite(boxes_xywh).all(axis=1) & (boxes_xywh[:, 2] > 0) & (boxes_xywh[:, 3] > 0)


def overlaps(predicted_xywh: ArrayLike, truth_xywh: ArrayLike) -> FloatArray:
    """Return the intersection over union of each frame (N,); NaN where the target is absent."""
    predicted, truth = _paired(predicted_xywh, truth_xywh)
    low = np.maximum(predicted[:, :2], truth[:, :2])
    high = np.minimum(predicted[:, :2] + predicted[:, 2:], truth[:, :2] + truth[:, 2:])
    with np.errstate(invalid="ignore", divide="ignore"):
        intersection = np.clip(high - low, 0, None).prod(axis=1)
        union = predicted[:, 2:].prod(axis=1) + truth[:, 2:].prod(axis=1) - intersection
        iou = np.minimum(intersection / union, 1.0)  # rounding can exceed 1 by an ulp
    iou[~has_area(predicted)] = 0.0
    iou[~has_area(truth)] = np.nan
    return iou


def centre_errors(predicted_xywh: ArrayLike, truth_xywh: ArrayLike) -> FloatArray:
    """Return the distance of the box centres in pixels (N,); NaN where the target is absent."""
    return np.asarray(np.hypot(*_centre_offsets(predicted_xywh, truth_xywh).T))


def normalised_centre_errors(predicted_xywh: ArrayLike, truth_xywh: ArrayLike) -> FloatArray:
    """Return centre distances with x over the true width and y over the true height (N,).

    Source: TrackingNet, section 5. NaN where the target is absent.
    """
    offsets = _centre_offsets(predicted_xywh, truth_xywh)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = offsets / as_boxes(truth_xywh)[:, 2:]
    scaled[~has_area(as_boxes(truth_xywh))] = np.nan
    return np.asarray(np.hypot(*scaled.T))


def success_curve(iou: FloatArray) -> FloatArray:
    """Return the share of present frames with an overlap above each of 0, 0.05 ... 1 (21,)."""
    return _share(iou[:, None] > OVERLAP_THRESHOLDS, iou)


def precision_curve(errors_px: FloatArray) -> FloatArray:
    """Return the share of present frames within 0, 1 ... 50 px of the true centre (51,)."""
    return _share(errors_px[:, None] <= CENTRE_THRESHOLDS_PX, errors_px)


def normalised_precision_curve(errors: FloatArray) -> FloatArray:
    """Return the share of present frames within 0, 0.01 ... 0.5 of the target's size (51,)."""
    return _share(errors[:, None] <= NORMALISED_THRESHOLDS, errors)


def frame_errors(
    predicted_xywh: ArrayLike,
    truth_xywh: ArrayLike,
    convention: Convention = STRICT,
    size_wh: tuple[int, int] | None = None,
) -> FrameErrors:
    """Measure every frame by a convention.

    `predicted_xywh`, `truth_xywh`: (N, 4) boxes of the same frames. `size_wh`: the frames' size in
    pixels, which bounded conventions need. ValueError where it is missing or the numbers of boxes
    differ. Where no box but the first is published nothing is measured, not even the first.
    """
    start = 0 if convention.first_frame else 1
    predicted, truth = _paired(predicted_xywh, truth_xywh)
    published = has_area(truth[1:]).any() or len(truth) == 1
    predicted, truth = predicted[start:], truth[start:]
    absent = ~has_area(truth)
    if convention.bounded:
        if size_wh is None:
            raise ValueError(f"expected the frames' size for the convention {convention.name}")
        predicted, truth = _bounded(predicted, size_wh), _bounded(truth, size_wh)
    errors = (
        overlaps(predicted, truth),
        centre_errors(predicted, truth),
        normalised_centre_errors(predicted, truth),
    )
    # Infinitely far is no overlap. Cut to the frame, a published box may be left without area.
    for values, worst in zip(errors, (0.0, np.inf, np.inf), strict=True):
        values[np.isnan(values)] = worst
        if not published:
            values[:] = np.nan
        elif not convention.absent_fails:
            values[absent] = np.nan
    return FrameErrors(*errors, absent)


def sequence_curves(errors: FrameErrors) -> Curves:
    """Return the three curves of one sequence."""
    return Curves(
        success_curve(errors.overlap),
        precision_curve(errors.centre_px),
        normalised_precision_curve(errors.normalised),
    )


def score_sequence(
    predicted_xywh: ArrayLike,
    truth_xywh: ArrayLike,
    times_s: ArrayLike | None = None,
    convention: Convention = STRICT,
    size_wh: tuple[int, int] | None = None,
) -> SequenceScore:
    """Measure one sequence; arguments and errors as in `frame_errors`.

    `times_s`: seconds inside the tracker for each frame; the first one (initialisation) does not
    count towards FPS.
    """
    return score_errors(frame_errors(predicted_xywh, truth_xywh, convention, size_wh), times_s)


def score_errors(errors: FrameErrors, times_s: ArrayLike | None = None) -> SequenceScore:
    """Summarise the frames of one sequence."""
    curves = sequence_curves(errors)
    counted = errors.overlap[~np.isnan(errors.overlap)]
    at = int(np.argmin(np.abs(NORMALISED_THRESHOLDS - NORMALISED_PRECISION_AT)))
    return SequenceScore(
        auc=float(curves.success.mean()),
        precision=float(curves.precision[PRECISION_AT_PX]),
        normalised_precision=float(curves.normalised_precision[at]),
        ao=_mean(counted),
        sr50=_mean(counted > 0.5),
        sr75=_mean(counted > 0.75),
        fps=frames_per_second(times_s),
        frames=len(counted),
        absent_frames=int(errors.absent.sum()),
    )


def frames_per_second(times_s: ArrayLike | None) -> float:
    """Return frames over seconds, without the first frame (initialisation); NaN when unknown."""
    times = np.asarray([] if times_s is None else times_s, dtype=np.float64).reshape(-1)[1:]
    times = times[np.isfinite(times) & (times > 0)]
    return float(len(times) / times.sum()) if len(times) else float("nan")


def mean_score(scores: Sequence[SequenceScore], pooled: bool = False) -> SequenceScore:
    """Average scores over sequences, each with the same weight; `pooled`: over their frames.

    All metrics are shares or means over frames, so that weights do the same as pooling frames.
    Sequences in which nothing could be measured (hidden ground truth) are left out of the metrics.
    FPS is a mean over sequences.
    """
    metrics = ("auc", "precision", "normalised_precision", "ao", "sr50", "sr75")
    weights = np.array([s.frames if pooled else 1 for s in scores], dtype=np.float64)
    return SequenceScore(
        **{m: _weighted([getattr(s, m) for s in scores], weights) for m in metrics},
        fps=_weighted([s.fps for s in scores], np.ones(len(scores))),
        frames=sum(s.frames for s in scores),
        absent_frames=sum(s.absent_frames for s in scores),
    )


def _paired(predicted_xywh: ArrayLike, truth_xywh: ArrayLike) -> tuple[FloatArray, FloatArray]:
    predicted, truth = as_boxes(predicted_xywh), as_boxes(truth_xywh)
    if len(predicted) != len(truth):
        raise ValueError(f"expected one box a frame: {len(truth)} frames, {len(predicted)} boxes")
    return predicted, truth


def _centre_offsets(predicted_xywh: ArrayLike, truth_xywh: ArrayLike) -> FloatArray:
    predicted, truth = _paired(predicted_xywh, truth_xywh)
    with np.errstate(invalid="ignore"):
        offsets = predicted[:, :2] + predicted[:, 2:] / 2 - truth[:, :2] - truth[:, 2:] / 2
    offsets[~has_area(predicted)] = np.inf
    offsets[~has_area(truth)] = np.nan
    return np.asarray(offsets)


def _bounded(boxes_xywh: FloatArray, size_wh: tuple[int, int]) -> FloatArray:
    """As the got10k package does it: an edge outside is moved in, then the size is cut."""
    size = np.array(size_wh, dtype=np.float64)
    corner = np.clip(boxes_xywh[:, :2], 0, size)
    return np.hstack((corner, np.clip(boxes_xywh[:, 2:], 0, size - corner)))


def _share(passed: NDArray[np.bool_], values: FloatArray) -> FloatArray:
    present = ~np.isnan(values)
    if not present.any():
        return np.full(passed.shape[1], np.nan)
    return np.asarray(passed[present].mean(axis=0), dtype=np.float64)


def _mean(values: ArrayLike) -> float:
    values = np.asarray(values, dtype=np.float64)
    return float(np.mean(values)) if len(values) else float("nan")


def _weighted(values: Sequence[float], weights: FloatArray) -> float:
    """Weighted mean of what is not NaN; NaN where nothing is left."""
    array = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(array) & (weights > 0)
    return float(np.average(array[known], weights=weights[known])) if known.any() else float("nan")
