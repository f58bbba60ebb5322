"""Success and precision plots as in the papers; needs matplotlib (the extra `eval`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dcfst_core.errors import DCFSTError
from dcfst_core.evaluation.metrics import (
    CENTRE_THRESHOLDS_PX,
    NORMALISED_THRESHOLDS,
    OVERLAP_THRESHOLDS,
    FloatArray,
)
from dcfst_core.evaluation.speed import Benchmark
from dcfst_core.evaluation.summary import Evaluation
from dcfst_core.inference.machine import available_cores

Pick = Callable[[Evaluation], FloatArray]
Score = Callable[[Evaluation], float]


class PlotsUnavailable(DCFSTError, RuntimeError):
    """Matplotlib is not installed."""


def write_plots(evaluations: Sequence[Evaluation], folder: Path) -> list[Path]:
    """Write success.png, precision.png, normalised_precision.png, and, where trackers were timed,
    speed.png; returns their paths.

    Curves are means over sequences; the legend is sorted by each tracker's number in brackets.
    """
    pyplot = _pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    plots: list[tuple[str, str, str, FloatArray, Pick, Score]] = [
        (
            "success",
            "Success plots of OPE",
            "Overlap threshold",
            OVERLAP_THRESHOLDS,
            lambda e: e.curves.success,
            lambda e: e.mean.auc,
        ),
        (
            "precision",
            "Precision plots of OPE",
            "Location error threshold (px)",
            CENTRE_THRESHOLDS_PX,
            lambda e: e.curves.precision,
            lambda e: e.mean.precision,
        ),
        (
            "normalised_precision",
            "Normalised precision plots of OPE",
            "Normalised location error threshold",
            NORMALISED_THRESHOLDS,
            lambda e: e.curves.normalised_precision,
            lambda e: e.mean.normalised_precision,
        ),
    ]
    written = [
        _plot(pyplot, evaluations, folder / f"{name}.png", title, label, thresholds, pick, score)
        for name, title, label, thresholds, pick, score in plots
    ]
    timed = [e for e in evaluations if e.mean.fps > 0]
    return [*written, _plot_speed(pyplot, timed, folder / "speed.png")] if timed else written


def plot_costs(benchmarks: Mapping[float, Benchmark], path: Path, label: str) -> None:
    """Draw milliseconds of an update (median, and up to the 95th percentile) over a setting.

    `benchmarks`: measurements by the setting's value. `label`: the setting's name, up to "=".
    """
    pyplot = _pyplot()
    path.parent.mkdir(parents=True, exist_ok=True)
    values = sorted(benchmarks)
    p50, p95 = (
        [float(np.percentile(benchmarks[v].total_ms, q)) for v in values] for q in (50, 95)
    )
    figure, axes = pyplot.subplots(figsize=(6.4, 4.2))
    axes.plot(values, p50, "o-", linewidth=2, label="median")
    axes.fill_between(values, p50, p95, alpha=0.25, label="up to the 95th percentile")
    axes.set(xlabel=label.partition("=")[0], ylabel="ms an update", ylim=(0, None))
    axes.set_xticks(values)
    axes.set_title(f"{benchmarks[values[0]].device}, {available_cores()} cores")
    axes.grid(True, alpha=0.4)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _plot(
    pyplot: Any,
    evaluations: Sequence[Evaluation],
    path: Path,
    title: str,
    label: str,
    thresholds: FloatArray,
    pick: Pick,
    score: Score,
) -> Path:
    figure, axes = pyplot.subplots(figsize=(6.4, 4.8))
    styles = ("-", "--", "-.", ":")
    for index, evaluation in enumerate(sorted(evaluations, key=score, reverse=True)):
        axes.plot(
            thresholds,
            pick(evaluation),
            styles[index // 10 % len(styles)],
            linewidth=2,
            label=f"[{score(evaluation):.3f}] {evaluation.tracker}",
        )
    rate = "Success rate" if path.stem == "success" else "Precision"
    axes.set(title=title, xlabel=label, ylabel=rate, xlim=(0, np.max(thresholds)), ylim=(0, 1))
    axes.grid(True, alpha=0.4)
    axes.legend(loc="lower left" if path.stem == "success" else "lower right", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return path


def _plot_speed(pyplot: Any, evaluations: Sequence[Evaluation], path: Path) -> Path:
    """AUC over FPS, one point a tracker: what an accuracy costs on this machine."""
    figure, axes = pyplot.subplots(figsize=(6.4, 4.8))
    for evaluation in evaluations:
        point = (evaluation.mean.fps, evaluation.mean.auc)
        axes.plot(*point, "o", markersize=8)
        offset = {"textcoords": "offset points", "xytext": (7, 5)}
        axes.annotate(evaluation.tracker, point, fontsize=9, **offset)
    axes.set(title="Accuracy and speed", xlabel="FPS", ylabel="Success AUC", xscale="log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.margins(0.15)
    axes.grid(True, which="both", alpha=0.4)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return path


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise PlotsUnavailable(
            "plots need matplotlib: pip install matplotlib (or dcfst_ros[eval])"
        ) from error
    matplotlib.use("Agg")  # files only: works without a display
    from matplotlib import pyplot

    return pyplot
