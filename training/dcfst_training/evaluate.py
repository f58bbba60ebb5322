"""Run a run's checkpoints as trackers over annotated sequences: how well they track, over time.

Writes RUN/dev_auc.csv, which `dcfst-train report` draws, and the results of each sequence below
RUN/dev. What is measured already is not measured again, so it can be called as training goes on.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dcfst_core.cli.options import (
    add_tracker_options,
    apply_threads,
    chosen_device,
    positive_int,
    tracker_config,
)
from dcfst_core.evaluation.datasets import FORMATS, load_sequences
from dcfst_core.evaluation.one_pass import run_one_pass, truncate
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.summary import Evaluation, auc_table, evaluate
from dcfst_core.evaluation.trackers import TrackerSpec
from dcfst_training.export import export_weights, read_checkpoint

CSV_NAME = "dev_auc.csv"


@dataclass(frozen=True)
class DevScore:
    """One line of dev_auc.csv: mean scores over all sequences.

    conditions: digest of what must be equal for two lines to compare: tracker settings, tracker
    code, kind of device, sequences and their lengths.
    """

    step: int
    auc: float
    precision: float
    ao: float
    sequences: int
    frames: int
    checkpoint: str
    conditions: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `dcfst-train evaluate`."""
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("--root", type=Path, required=True, help="folder of the sequences")
    parser.add_argument(
        "--format", default="otb", choices=sorted(FORMATS), help="its layout (default: otb)"
    )
    parser.add_argument("--sequences", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument(
        "--frames", type=positive_int, metavar="N", help="only the first N frames of each"
    )
    parser.add_argument(
        "--every",
        type=positive_int,
        default=1,
        metavar="K",
        help="every K-th of the kept epochs, counted from the newest (default: all)",
    )
    parser.add_argument(
        "--start",
        type=Path,
        metavar="FILE",
        help="checkpoint or .safetensors that the run began with, measured as step 0; default: "
        "RUN/start.ckpt where it was kept",
    )
    parser.add_argument(
        "--workers", type=positive_int, default=1, metavar="N", help="processes (default: 1)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_tracker_options(parser, weights=False)


def main(arguments: list[str]) -> None:
    """Entry point of `dcfst-train evaluate`."""
    parser = argparse.ArgumentParser(prog="dcfst-train evaluate", description=__doc__)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    apply_threads(options)
    sequences = load_sequences(options.root, options.format, options.sequences)
    if options.frames is not None:
        sequences = [truncate(item, options.frames) for item in sequences]
    checkpoints = find_checkpoints(options.run, options.every, options.start)
    spec = TrackerSpec(
        "", config=tracker_config(options).to_dict(), device=str(chosen_device(options))
    )
    conditions = _conditions(spec, sequences)
    scores = _read(options.run / CSV_NAME, conditions)
    evaluations = []
    for number, (step, path) in enumerate(checkpoints.items(), start=1):
        found = _measure(replace(spec, name=f"step-{step}"), path, sequences, options)
        evaluations.append(found)
        mean = found.mean
        scores[step] = DevScore(
            *(step, mean.auc, mean.precision, mean.ao, len(sequences), mean.frames),
            *(path.name, conditions),
        )
        _write(options.run / CSV_NAME, scores)
        print(f"{number} of {len(checkpoints)}: {path.name} (step {step}): AUC {mean.auc:.3f}")
    print("\n" + auc_table(evaluations))
    print(f"\nwrote {options.run / CSV_NAME}; `dcfst-train report {options.run}` draws it")


def find_checkpoints(run: Path, every: int = 1, start: Path | None = None) -> dict[int, Path]:
    """The checkpoints of a run by step: its start, every `every`-th kept epoch, the last one.

    Raises FileNotFoundError when there is none.
    """
    kept = {_step(path): path for path in run.glob("epoch=*.ckpt")}
    chosen = {step: kept[step] for step in sorted(kept, reverse=True)[::every]}
    if (run / "last.ckpt").is_file():
        chosen.setdefault(_step(run / "last.ckpt"), run / "last.ckpt")
    first = start or run / "start.ckpt"
    if start or first.is_file():
        chosen[0] = first
    if not chosen:
        raise FileNotFoundError(
            f"expected checkpoints (last.ckpt, epoch=*.ckpt, start.ckpt) in {run}; there are "
            "none: `dcfst-train fit --keep_every_epochs 1` keeps those of every epoch"
        )
    return dict(sorted(chosen.items()))


def _measure(
    spec: TrackerSpec,
    path: Path,
    sequences: Sequence[AnnotatedSequence],
    options: argparse.Namespace,
) -> Evaluation:
    """Track with the weights as they would be shipped: exported, in half precision."""
    out = options.run / "dev"
    with TemporaryDirectory() as folder:
        weights = Path(folder) / f"{spec.name}.safetensors"
        export_weights(path, weights)
        spec = replace(spec, weights=str(weights))
        results = run_one_pass(spec, sequences, out, options.workers, not options.quiet)
    return evaluate(spec.name, results, sequences)


def _conditions(spec: TrackerSpec, sequences: Sequence[AnnotatedSequence]) -> str:
    # No such file exists, so that the digest is that of everything but the weights.
    tracker = replace(spec, weights="any").fingerprint()
    shown = [f"{item.name} {len(item.frames)}" for item in sequences]
    return hashlib.sha256("\n".join([tracker, *shown]).encode()).hexdigest()[:16]


def _step(path: Path) -> int:
    return int(read_checkpoint(path)["global_step"])


def _read(path: Path, conditions: str) -> dict[int, DevScore]:
    """Lines measured before under the same conditions, also of checkpoints that are gone."""
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    same = [row for row in rows if row.get("conditions") == conditions]
    if len(same) < len(rows):
        print(
            f"{path}: {len(rows) - len(same)} of {len(rows)} lines were measured with other "
            "settings, sequences or code of the tracker; they are left out of the new curve"
        )
    return {int(row["step"]): _parse(row) for row in same}


def _parse(row: dict[str, str]) -> DevScore:
    return DevScore(
        *(int(row["step"]), float(row["auc"]), float(row["precision"]), float(row["ao"])),
        *(int(row["sequences"]), int(row["frames"]), row["checkpoint"], row["conditions"]),
    )


def _write(path: Path, scores: dict[int, DevScore]) -> None:
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(DevScore)])
        writer.writerows(astuple(scores[step]) for step in sorted(scores))
    os.replace(unfinished, path)
