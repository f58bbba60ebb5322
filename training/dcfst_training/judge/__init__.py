"""`dcfst-train judge`: fit the verifier that tells a target from what is not it.

    dcfst-train judge --root data/tune --root data/dev --weights mine.safetensors --write

The tracker runs over the clips as they are and with synthetic absences; what it saw in each frame
and what was true there is kept below `--out`, so a second call fits without running again. The fit
is validated on whole sets left out of it. `--write` puts the verifier into the weights' JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from dcfst_core.evaluation.datasets import FORMATS, load_sequences
from dcfst_core.evaluation.sequences import DatasetError
from dcfst_core.evaluation.trackers import TrackerSpec
from dcfst_core.network.checkpoint import default_weights_path
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.evidence import FEATURES
from dcfst_training.judge.fit import Hazards, fit
from dcfst_training.judge.report import cross_validate, draw_reliability, weights_table
from dcfst_training.judge.runs import collect, judge_cases, save_verifier


def main(arguments: list[str]) -> None:
    """Collect, fit, report."""
    run(_parser().parse_args(arguments))


def run(options: argparse.Namespace) -> None:
    """What the command does."""
    weights = Path(options.weights or default_weights_path())
    config: TrackerConfig = getattr(TrackerConfig, options.preset)()
    hazards = Hazards(config.vanishing, config.returning)
    sequences = [
        sequence
        for root in options.root
        for sequence in load_sequences(Path(root), options.format)
    ]
    sets = sorted({sequence.group for sequence in sequences})
    if len(sets) < 2:
        raise DatasetError(
            f"expected sequences of at least two sets, since one at a time is left out of the "
            f"fit; got {sets}: give another --root"
        )
    cases = judge_cases(sequences, options.frames)
    spec = TrackerSpec("judge", weights=str(weights), config=config.to_dict(), device="cpu")
    runs = collect(spec, cases, options.out / "runs", options.workers)
    full = cross_validate(runs, hazards)
    verifier = fit(runs, hazards)
    without = {}
    if options.gains:
        for name in FEATURES:
            rest = [other for other in FEATURES if other != name]
            without[name] = cross_validate(runs, hazards, rest)
    print(weights_table(verifier, without, full))
    missed, taken = full.told_wrong(config.tracking_threshold)
    print(
        f"\n{len(runs)} runs of {len({r.clip for r in runs})} clips, sets left out in turn: "
        f"log loss {full.log_loss:.3f}, calibration error {full.calibration_error:.3f}, "
        f"not told though held {100 * missed:.1f} %, told though absent {100 * taken:.1f} %"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    draw_reliability(full, options.out / "reliability.png")
    path = options.out / "verifier.json"
    path.write_text(json.dumps(verifier.to_metadata(), indent=2) + "\n")
    print(f"wrote {path} and {options.out / 'reliability.png'}", file=sys.stderr)
    if options.write:
        save_verifier(weights.with_suffix(".json"), verifier, config.patch_size)
        print(f"wrote the verifier into {weights.with_suffix('.json')}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dcfst-train judge", description=__doc__)
    parser.add_argument(
        "--root", action="append", required=True, metavar="FOLDER", help="annotated sequences"
    )
    parser.add_argument("--format", default="otb", choices=sorted(FORMATS), help="their layout")
    parser.add_argument("--weights", metavar="FILE", help="default: the packaged weights")
    parser.add_argument(
        "--preset",
        default="default",
        choices=("default", "fast", "nano"),
        help="whose pictures it is fitted to: each size has a verifier of its own (default)",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/judge"), metavar="FOLDER")
    parser.add_argument("--frames", type=int, default=60, help="most frames of a plain clip (60)")
    parser.add_argument("--workers", type=int, default=1, help="processes (1)")
    parser.add_argument(
        "--gains", action="store_true", help="also fit without each signal, for the table"
    )
    parser.add_argument(
        "--write", action="store_true", help="put the verifier into the weights' JSON"
    )
    return parser
