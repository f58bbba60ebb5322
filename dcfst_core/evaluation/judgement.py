"""How well a tracker judges itself: the figures that stand beside AUC.

Own figures: what is reported while the target is in view and while it is not, how fast a loss is
said and a return noticed, what else is followed, and whether the score is a probability. Beside
them the long-term measures of the VOTS challenge (Kristan et al., "The First Visual Object
Tracking Segmentation VOTS2023 Challenge Results", ICCV workshops 2023): non-reported error,
drift-rate error and absence-detection quality, each a mean over clips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dcfst_core.evaluation.absence import ABRUPT, CROSSING, GRADUAL
from dcfst_core.evaluation.calibration import Calibration, gather
from dcfst_core.evaluation.case_results import PLAIN, CaseResult, Verdict
from dcfst_core.evaluation.tables import format_table

LOST_WITHIN = 10
NAN = float("nan")


def found_within(duration: int) -> int:
    """Frames in which a target has to be found again after `duration` absent ones."""
    return 20 if duration <= 30 else 30


@dataclass(frozen=True)
class JudgementFigures:
    """Shares in [0, 1]; NaN where there was nothing to measure.

    in_view_not_tracking: of the frames in view (half of the target and more) of plain clips, or
    without such of those before the absences. absent_tracking_*: of the absent frames, those
    reported as tracking. lost_within, found_within (by duration), relocked, misled (by a
    look-alike): of the cases in which the target was held before. calibration_error,
    rank_correlation: over plain clips; with_absent: over all frames, absent ones with IoU 0.
    verdicts: one a case.
    """

    in_view_not_tracking: float
    absent_tracking: float
    absent_tracking_abrupt: float
    absent_tracking_gradual: float
    absent_tracking_by_kind: dict[str, float]
    lost_within: float
    found_within: dict[int, float]
    relocked: float
    misled: float
    calibration_error: float
    calibration_error_with_absent: float
    rank_correlation: float
    rank_correlation_with_absent: float
    non_reported_error: float
    drift_rate_error: float
    absence_detection_quality: float
    cases: int
    held: int
    reliability: Calibration = field(repr=False)
    verdicts: tuple[Verdict, ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what could not be measured becomes None."""
        values = {k: v for k, v in vars(self).items() if k not in ("reliability", "verdicts")}
        plain = {
            k: {str(n): _plain(x) for n, x in v.items()} if isinstance(v, dict) else _plain(v)
            for k, v in values.items()
        }
        return {**plain, "verdicts": [asdict(v) for v in self.verdicts]}

    def rows(self) -> list[tuple[str, float]]:
        """Name and value of each figure, for a table."""
        found = {f"found within {found_within(d)} after {d}": v for d, v in self._found()}
        return [
            ("in view, not reported as tracking", self.in_view_not_tracking),
            ("absent, reported as tracking: abrupt", self.absent_tracking_abrupt),
            ("absent, reported as tracking: gradual", self.absent_tracking_gradual),
            (f"lost within {LOST_WITHIN} of full cover", self.lost_within),
            *found.items(),
            ("re-locked elsewhere", self.relocked),
            ("look-alike followed", self.misled),
            ("expected calibration error", self.calibration_error),
            ("the same with absent frames", self.calibration_error_with_absent),
            ("rank correlation of score and IoU", self.rank_correlation),
            ("the same with absent frames", self.rank_correlation_with_absent),
            ("VOT non-reported error", self.non_reported_error),
            ("VOT drift-rate error", self.drift_rate_error),
            ("VOT absence-detection quality", self.absence_detection_quality),
        ]

    def text(self) -> str:
        """Tables: the cases by kind and duration, the figures, the reliability of the score."""
        parts = [absence_table(self.verdicts)] if self.verdicts else []
        parts.append(format_table(("figure", "value"), self.rows()))
        if len(self.reliability.scores):
            parts.append(
                "Reliability of the score, absent frames counted\n"
                + self.reliability.reliability_table()
            )
        return "\n\n".join(parts)

    def _found(self) -> list[tuple[int, float]]:
        return sorted(self.found_within.items())


def judgement_figures(results: Sequence[CaseResult]) -> JudgementFigures:
    """Work out the figures of one tracker over cases of any kinds, plain clips among them.

    Shares of frames are over all frames together, shares of cases over those in which the target
    was held before. ValueError without results.
    """
    if not results:
        raise ValueError("expected results of one case and more; got none")
    plain = [r for r in results if r.kind == PLAIN]
    verdicts = [r.verdict() for r in results if r.kind != PLAIN]
    hidden = [v for v in verdicts if v.kind != CROSSING and v.held_before]
    crossed = [v for v in verdicts if v.kind == CROSSING and v.held_before]
    visible = gather([(r.result, r.truth_xywh, r.in_view) for r in plain or results])
    everything = gather([(r.result, r.truth_xywh, r.in_view | r.gone) for r in results])
    return JudgementFigures(
        in_view_not_tracking=_in_view_not_tracking(plain or results),
        absent_tracking=_absent_tracking(results),
        absent_tracking_abrupt=_absent_tracking([r for r in results if r.kind in ABRUPT]),
        absent_tracking_gradual=_absent_tracking([r for r in results if r.kind in GRADUAL]),
        absent_tracking_by_kind={
            kind: _absent_tracking([r for r in results if r.kind == kind])
            for kind in dict.fromkeys(r.kind for r in results if r.gone.any())
        },
        lost_within=_share(hidden, _lost_in_time),
        found_within={
            d: _share([v for v in hidden if v.duration == d], _found_in_time)
            for d in sorted({v.duration for v in verdicts if v.kind != CROSSING})
        },
        relocked=_share(hidden, lambda v: v.relocked),
        misled=_share(crossed, lambda v: v.relocked),
        calibration_error=visible.expected_error,
        calibration_error_with_absent=everything.expected_error,
        rank_correlation=visible.rank_correlation,
        rank_correlation_with_absent=everything.rank_correlation,
        non_reported_error=_mean([non_reported_error(r) for r in results]),
        drift_rate_error=_mean([drift_rate_error(r) for r in results]),
        absence_detection_quality=_mean([absence_detection_quality(r) for r in results]),
        cases=len(verdicts),
        held=sum(v.held_before for v in verdicts),
        reliability=everything,
        verdicts=tuple(verdicts),
    )


def non_reported_error(result: CaseResult) -> float:
    """Share of the frames with a visible target that were reported as lost (VOTS: NRE)."""
    visible = _visible(result)
    return _ratio(result.lost & visible, visible)


def drift_rate_error(result: CaseResult) -> float:
    """Share of the frames with a visible target with a reported box off it: IoU 0 (VOTS: DRE)."""
    visible = _visible(result)
    return _ratio(~result.lost & visible & (result.overlaps == 0), visible)


def absence_detection_quality(result: CaseResult) -> float:
    """Share of the frames with an absent target that were reported as lost (VOTS: ADQ)."""
    return _ratio(result.lost & result.gone, result.gone)


def absence_table(verdicts: Sequence[Verdict]) -> str:
    """Shares over the cases in which the target was held when it vanished, by kind and duration.

    The last column is over all cases: what is followed in place of a target that was lost before
    is no better for it.
    """
    rows = []
    for kind, duration in dict.fromkeys((v.kind, v.duration) for v in verdicts):
        chosen = [v for v in verdicts if (v.kind, v.duration) == (kind, duration)]
        rows.append((f"{kind} {duration}", *_verdict_cells(chosen)))
    rows.append(("all", *_verdict_cells(verdicts)))
    headers = (
        *("absence", "cases", "held before", f"lost within {LOST_WITHIN}", "found in time"),
        *("re-locked elsewhere", "false tracking", "of all cases"),
    )
    return format_table(headers, rows)


def comparison(figures: Mapping[str, JudgementFigures]) -> str:
    """Figures side by side: one line a figure, one column a tracker."""
    named = [f.rows() for f in figures.values()]
    rows = [(cells[0][0], *(value for _, value in cells)) for cells in zip(*named, strict=True)]
    return format_table(("figure", *figures), rows)


def _verdict_cells(verdicts: Sequence[Verdict]) -> tuple[object, ...]:
    held = [v for v in verdicts if v.held_before]
    hidden = [v for v in held if v.kind != CROSSING]
    return (
        len(verdicts),
        len(held),
        _share(hidden, _lost_in_time),
        _share(hidden, _found_in_time),
        _share(held, lambda v: v.relocked),
        _false_tracking(held),
        _false_tracking(verdicts),
    )


def _false_tracking(verdicts: Sequence[Verdict]) -> float:
    absent = sum(v.absent_frames for v in verdicts)
    return sum(v.false_frames for v in verdicts) / absent if absent else NAN


def _lost_in_time(verdict: Verdict) -> bool:
    return verdict.lost_after is not None and verdict.lost_after <= LOST_WITHIN


def _found_in_time(verdict: Verdict) -> bool:
    limit = found_within(verdict.duration)
    return verdict.found_after is not None and verdict.found_after <= limit


def _in_view_not_tracking(results: Sequence[CaseResult]) -> float:
    missed, seen = [], []
    for result in results:
        before = np.arange(len(result.visibility)) < result.absent[0]
        seen.append(result.in_view & before)
        missed.append(seen[-1] & ~result.tracking)
    return _ratio(np.concatenate(missed), np.concatenate(seen))


def _absent_tracking(results: Sequence[CaseResult]) -> float:
    if not results:
        return NAN
    gone = np.concatenate([r.gone for r in results])
    return _ratio(np.concatenate([r.tracking & r.gone for r in results]), gone)


def _visible(result: CaseResult) -> np.ndarray:
    visible = ~result.gone
    visible[0] = False  # the given box
    return np.asarray(visible)


def _ratio(chosen: np.ndarray, of: np.ndarray) -> float:
    return float(chosen.sum() / of.sum()) if of.any() else NAN


def _share(verdicts: Sequence[Verdict], holds: Callable[[Verdict], bool]) -> float:
    return sum(map(holds, verdicts)) / len(verdicts) if verdicts else NAN


def _mean(values: Sequence[float]) -> float:
    measured = [v for v in values if v == v]
    return float(np.mean(measured)) if measured else NAN


def _plain(value: float | int) -> float | int | None:
    return None if value != value else value
