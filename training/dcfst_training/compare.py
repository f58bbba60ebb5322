"""Compare runs that differ in one thing: their held-out curves and dev AUC side by side.

By held-out clips of the sets trained on and, with `--data.holdout_sets`, by whole sets.

The held-out pairs are the same in runs of one seed, and each run measures them by every loss, so
that runs trained with different losses are held against the same yardsticks.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from dcfst_core.evaluation.tables import format_table
from dcfst_training.curves import Curve, draw_held_out, read_auc, read_curves

YARDSTICKS = {
    "shrinkage": "modified shrinkage loss (Eq. 4) x 100",
    "original_shrinkage": "original shrinkage loss (Eq. 5) x 100",
    "squared": "squared error x 100",
    "iou_error": "mean error of the predicted IoU",
    "fitted_iou_error": "the same, fitted to the target at test time alone",
    "sets/iou_error": "mean error of the predicted IoU, sets held out whole",
    "sets/fitted_iou_error": "the same, fitted at test time alone",
    "sets/centre_error": "median centre error / target size, sets held out whole",
    "centre_error": "median centre error / target size",
    "miss_rate": "share of pairs missed",
    "auc": "success AUC on dev sequences",
}


def main(arguments: list[str]) -> None:
    """Entry point of `dcfst-train compare`."""
    parser = argparse.ArgumentParser(prog="dcfst-train compare", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of runs")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves as PNG")
    options = parser.parse_args(arguments)
    found = {run.name: held_out_curves(run) for run in options.runs}
    print(table(found))
    if options.plot is not None:
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        draw_held_out(found, YARDSTICKS, options.plot)
        print(f"wrote {options.plot}")


def held_out_curves(run: Path) -> dict[str, Curve]:
    """A run's held-out values and its dev AUC, by yardstick, over the steps done."""
    curves = read_curves(run)
    # A value at the end of an epoch is logged with its last step, n - 1 after n steps.
    found = {
        key: {step + bool(step): value for step, value in curves[name].items()}
        for key in YARDSTICKS
        if (name := f"val/{key}".replace("val/sets/", "val_sets/")) in curves
    }
    auc = read_auc(run / "dev_auc.csv")
    return found | ({"auc": auc} if auc else {})


def table(runs: Mapping[str, Mapping[str, Curve]]) -> str:
    """Each yardstick at the first and at the last step that all runs have measured."""
    keys = [key for key in YARDSTICKS if any(key in curves for curves in runs.values())]
    spans = {key: _common_span([curves.get(key, {}) for curves in runs.values()]) for key in keys}
    rows = []
    for name, curves in runs.items():
        shown = (
            " -> ".join(f"{curves[key][step]:.4f}" for step in spans[key])
            if key in curves
            else "-"
            for key in keys
        )
        rows.append((name, *shown))
    steps = ("steps", *(" -> ".join(str(step) for step in spans[key]) for key in keys))
    return format_table(("run", *keys), [steps, *rows])


def _common_span(curves: Sequence[Curve]) -> list[int]:
    """First and last step that all curves have, of those that are not empty."""
    common = sorted(set.intersection(*(set(curve) for curve in curves if curve)))
    return sorted({common[0], common[-1]}) if common else []
