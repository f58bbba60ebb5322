"""A run's curves: what its sessions logged, joined into one, and drawn."""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

Curve = dict[int, float]
"""Value by step."""

PANELS = (
    ("loss", "loss"),
    ("score_loss", "score loss"),
    ("iou_loss", "loss of the predicted IoU"),
    ("iou_error", "mean error of the predicted IoU"),
    ("elsewhere_error", "the same where the target is not"),
    ("stranger_iou", "mean predicted IoU of other objects"),
    ("miss_rate", "share of pairs missed by over half the target's size"),
    ("centre_error", "median centre error / target size"),
)


def read_curves(run: Path) -> dict[str, Curve]:
    """The curves of all sessions of a run by name (`train/loss`, `val/loss`, …).

    Where a session began again from a checkpoint, its values replace what the killed one logged
    after that checkpoint. Raises FileNotFoundError.
    """
    files = sorted(run.glob("csv/version_*/metrics.csv"), key=_session)
    if not files:
        raise FileNotFoundError(
            f"expected the curves of a run in {run / 'csv' / 'version_*' / 'metrics.csv'}; there "
            "are none"
        )
    curves: dict[str, Curve] = defaultdict(dict)
    for path in files:
        session = _read_session(path)
        begins = min((step for curve in session.values() for step in curve), default=0)
        for name, curve in session.items():
            kept = {step: value for step, value in curves[name].items() if step < begins}
            curves[name] = kept | curve
    return dict(curves)


def draw_curves(run: Path, out: Path) -> None:
    """Draw a run's losses, errors and learning rates, and its AUC on dev sequences, as PNG.

    The AUC comes from `dev_auc.csv` in the run's folder (columns `step`, `auc`), where it is.
    """
    curves = read_curves(run)
    rates = sorted(name for name in curves if name.startswith("lr-"))
    auc = read_auc(run / "dev_auc.csv")
    panels = [panel for panel in PANELS if {f"train/{panel[0]}", f"val/{panel[0]}"} & set(curves)]
    count = len(panels) + bool(rates) + bool(auc)
    columns = min(3, max(count, 1))
    rows = max(1, math.ceil(count / columns))
    figure, axes = plt.subplots(rows, columns, figsize=(5.2 * columns, 3.6 * rows), squeeze=False)
    places = iter(axes.flat)
    for key, title in panels:
        _draw_panel(next(places), key, title, curves)
    if rates:
        _draw_rates(next(places), rates, curves)
    if auc:
        place = next(places)
        place.plot(list(auc), list(auc.values()), "o-")
        place.set_title("success AUC on dev sequences")
    for place in places:
        place.axis("off")
    for place in axes.flat:
        place.set_xlabel("step", fontsize=8)
    figure.suptitle(str(run))
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    plt.close(figure)


def read_auc(path: Path) -> Curve:
    """Success AUC by step from a file with the columns `step` and `auc`; empty without one."""
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return {int(row["step"]): float(row["auc"]) for row in csv.DictReader(file)}


def draw_held_out(
    runs: Mapping[str, Mapping[str, Curve]], titles: Mapping[str, str], out: Path
) -> None:
    """Draw several runs' curves into one PNG, a panel for each key of `titles` that one has."""
    keys = [key for key in titles if any(key in curves for curves in runs.values())]
    columns = min(3, len(keys))
    rows = math.ceil(len(keys) / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.6 * columns, 3.4 * rows), squeeze=False)
    for place in axes.flat[len(keys) :]:
        place.axis("off")
    for place, key in zip(axes.flat, keys, strict=False):
        for name, curves in runs.items():
            curve = curves.get(key, {})
            place.plot(sorted(curve), [curve[s] for s in sorted(curve)], "o-", label=name)
        place.set_title(titles[key], fontsize=10)
        place.set_xlabel("steps", fontsize=8)
        place.grid(alpha=0.3)
        place.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    plt.close(figure)


def _draw_panel(place: Axes, key: str, title: str, curves: dict[str, Curve]) -> None:
    train = curves.get(f"train/{key}", {})
    if train:
        steps, values = np.array(sorted(train)), np.array([train[s] for s in sorted(train)])
        place.plot(steps, values, color="tab:blue", alpha=0.25, linewidth=0.8)
        place.plot(steps, _smooth(values), color="tab:blue", label="training pairs (smoothed)")
    for kind, colour, label in (
        ("val", "tab:orange", "held-out clips"),
        ("val_sets", "tab:green", "sets held out whole"),
    ):
        curve = curves.get(f"{kind}/{key}", {})
        if curve:
            values = [curve[step] for step in sorted(curve)]
            place.plot(sorted(curve), values, "o-", color=colour, markersize=3, label=label)
    place.set_title(title, fontsize=10)
    place.grid(alpha=0.3)
    place.legend(fontsize=8)


def _draw_rates(place: Axes, rates: list[str], curves: dict[str, Curve]) -> None:
    for name in rates:
        steps = sorted(curves[name])
        label = name.split("/")[-1]
        place.plot(steps, [curves[name][step] for step in steps], label=label)
    place.set_yscale("log")
    place.set_title("learning rates", fontsize=10)
    place.grid(alpha=0.3)
    place.legend(fontsize=8)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Running mean over a twentieth of the curve, over less at its ends."""
    reach = max(1, len(values) // 40)
    total = np.cumsum(np.concatenate(([0.0], values)))
    index = np.arange(len(values))
    low, high = np.maximum(index - reach, 0), np.minimum(index + reach + 1, len(values))
    return (total[high] - total[low]) / (high - low)


def _session(path: Path) -> int:
    number = re.search(r"version_(\d+)$", path.parent.name)
    return int(number[1]) if number else -1


def _read_session(path: Path) -> dict[str, Curve]:
    found: dict[str, Curve] = defaultdict(dict)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            # A killed session may leave half a line.
            if not (row.get("step") or "").isdigit():
                continue
            for name, value in row.items():
                if name and name not in ("step", "epoch") and value:
                    found[name][int(row["step"])] = _number(value)
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
