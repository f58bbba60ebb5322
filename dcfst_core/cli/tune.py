"""`dcfst tune`: search for better settings on development sequences, cross-validated."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcfst_core.cli.options import (
    OptionError,
    add_tracker_options,
    apply_threads,
    positive_int,
)
from dcfst_core.cli.protocols import add_jitter_option
from dcfst_core.cli.sequences import add_sequence_options, chosen_sequences, tracker_spec
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.tuning import (
    Dimension,
    cross_validate,
    random_folds,
    set_folds,
    trial_table,
    tune,
)


def add_command(commands: Any) -> None:
    """Add the `tune` command to the parser."""
    parser = commands.add_parser(
        "tune",
        help="search for better settings",
        description="Search settings by optuna's TPE sampler on development sequences, then say "
        "what gain to expect on others: the choice is replayed with folds of sequences held out. "
        "Trial 0 has the settings unchanged. A second run goes on where the first one stopped.",
    )
    add_sequence_options(parser)
    parser.add_argument(
        "--vary",
        action="append",
        required=True,
        metavar="NAME=RANGE",
        help="a setting and its range: LOW:HIGH, LOW:HIGH:log or A,B,...; once for each setting",
    )
    parser.add_argument("--trials", type=positive_int, default=30, help="trials in all (30)")
    parser.add_argument(
        "--folds",
        default="5",
        metavar="N|sets",
        help="N folds of sequences (5), or `sets`: each set is held out as a whole",
    )
    add_jitter_option(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/tune"), help="folder of trials (runs/tune)"
    )
    parser.add_argument("--json", type=Path, help="write all trials to this file")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_tracker_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Search, then print the best trials and the cross-validated gain."""
    sequences = chosen_sequences(options)
    folds = _folds(options.folds, sequences)
    try:
        space = [Dimension.parse(text) for text in options.vary]
    except ValueError as error:
        raise OptionError(f"--vary: {error}") from None
    apply_threads(options)
    spec = tracker_spec(options, "baseline")
    try:
        trials = tune(
            spec,
            space,
            sequences,
            options.trials,
            options.out,
            progress=not options.quiet,
            starts=options.jitter,
        )
    except ImportError:
        raise OptionError("expected optuna for `dcfst tune`: pip install optuna") from None
    gain, chosen = cross_validate(trials, folds)
    print(trial_table(trials))
    print(
        f"\nexpected gain on other sequences: {gain:+.4f} AUC ({len(folds)} folds of "
        f"{len(sequences)} sequences chose trials {', '.join(map(str, chosen))})"
    )
    if options.json is not None:
        names = [s.name for s in sequences]
        document = {
            "sequences": names,
            "expected_gain": gain,
            "chosen": chosen,
            "trials": [
                {"number": t.number, "settings": t.changes, "auc": t.auc.round(4).tolist()}
                for t in trials
            ],
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def _folds(text: str, sequences: Sequence[AnnotatedSequence]) -> list[NDArray[np.int64]]:
    try:
        if text == "sets":
            return set_folds(sequences)
        if not text.isdecimal():
            raise ValueError(f"expected a number of folds or `sets`; got {text!r}")
        return random_folds(len(sequences), int(text))
    except ValueError as error:
        raise OptionError(f"--folds: {error}") from None
