"""The field's metrics of single-object tracking, in plain NumPy and float64.

Conventions, stated once:

* Boxes are `xywh` in continuous pixels; predicted and true boxes share one origin.
* A frame whose true box is NaN or has no area is *absent*: it is left out of every metric and
  counted in `SequenceScore.absent_frames`.
* A predicted box that is NaN or has no area overlaps nothing and is infinitely far away.
* Published tables leave the first frame out, because its box is given; so does the default here.
* Thresholds are strict for overlap (`iou > t`) and inclusive for distance (`error <= t`), as in
  the OTB and GOT-10k toolkits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


def sequence_curves(
    predicted_xywh: ArrayLike, truth_xywh: ArrayLike, include_first: bool = False
) -> Curves:
    """Return the three curves of one sequence; `include_first` counts the given first box too."""
    start = 0 if include_first else 1
    predicted, truth = _paired(predicted_xywh, truth_xywh)
    predicted, truth = predicted[start:], truth[start:]
    return Curves(
        success_curve(overlaps(predicted, truth)),
        precision_curve(centre_errors(predicted, truth)),
        normalised_precision_curve(normalised_centre_errors(predicted, truth)),
    )


def score_sequence(
    predicted_xywh: ArrayLike,
    truth_xywh: ArrayLike,
    times_s: ArrayLike | None = None,
    include_first: bool = False,
) -> SequenceScore:
    """Measure one sequence.

    `predicted_xywh`, `truth_xywh`: (N, 4) boxes of the same frames. `times_s`: seconds inside the
    tracker for each frame; the first one (initialisation) does not count towards FPS. ValueError
    when the numbers of boxes differ.
    """
    curves = sequence_curves(predicted_xywh, truth_xywh, include_first)
    start = 0 if include_first else 1
    iou = overlaps(predicted_xywh, truth_xywh)[start:]
    present = iou[~np.isnan(iou)]
    at = int(np.argmin(np.abs(NORMALISED_THRESHOLDS - NORMALISED_PRECISION_AT)))
    return SequenceScore(
        auc=float(curves.success.mean()),
        precision=float(curves.precision[PRECISION_AT_PX]),
        normalised_precision=float(curves.normalised_precision[at]),
        ao=_mean(present),
        sr50=_mean(present > 0.5),
        sr75=_mean(present > 0.75),
        fps=frames_per_second(times_s),
        frames=len(present),
        absent_frames=len(iou) - len(present),
    )


def frames_per_second(times_s: ArrayLike | None) -> float:
    """Return frames over seconds, without the first frame (initialisation); NaN when unknown."""
    times = np.asarray([] if times_s is None else times_s, dtype=np.float64).reshape(-1)[1:]
    times = times[np.isfinite(times) & (times > 0)]
    return float(len(times) / times.sum()) if len(times) else float("nan")


def mean_score(scores: Sequence[SequenceScore]) -> SequenceScore:
    """Average scores over sequences, each with the same weight, as OTB's tables do.

    Sequences in which nothing could be measured (hidden ground truth) are left out of the metrics.
    """
    metrics = ("auc", "precision", "normalised_precision", "ao", "sr50", "sr75", "fps")
    values = {m: np.array([getattr(s, m) for s in scores], dtype=np.float64) for m in metrics}
    return SequenceScore(
        **{m: _mean(v[~np.isnan(v)]) for m, v in values.items()},
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


def _share(passed: NDArray[np.bool_], values: FloatArray) -> FloatArray:
    present = ~np.isnan(values)
    if not present.any():
        return np.full(passed.shape[1], np.nan)
    return np.asarray(passed[present].mean(axis=0), dtype=np.float64)


def _mean(values: ArrayLike) -> float:
    values = np.asarray(values, dtype=np.float64)
    return float(np.mean(values)) if len(values) else float("nan")
