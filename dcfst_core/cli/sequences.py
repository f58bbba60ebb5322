"""Options of the commands that run over a data set: which sequences, and how much of them."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from dcfst_core.cli.options import chosen_device, positive_int, tracker_config
from dcfst_core.evaluation.datasets import FORMATS, load_sequences
from dcfst_core.evaluation.one_pass import truncate
from dcfst_core.evaluation.sequences import AnnotatedSequence, DatasetWarning
from dcfst_core.evaluation.trackers import TrackerSpec


def add_sequence_options(parser: argparse.ArgumentParser) -> None:
    """Add the data set's folder, --format and --frames."""
    parser.add_argument("root", type=Path, help="folder of the data set")
    parser.add_argument(
        "--format", default="otb", choices=sorted(FORMATS), help="its layout (default: otb)"
    )
    parser.add_argument(
        "--frames", type=positive_int, metavar="N", help="only the first N frames of each"
    )


def chosen_sequences(
    options: argparse.Namespace, names: Sequence[str] = ()
) -> list[AnnotatedSequence]:
    """The sequences of those options; `names`: only these, if any are given."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DatasetWarning)
        sequences = load_sequences(options.root, options.format, names)
    for warning in caught:
        print(f"dcfst {options.command}: {warning.message}", file=sys.stderr)
    if options.frames is not None:
        sequences = [truncate(sequence, options.frames) for sequence in sequences]
    return sequences


def tracker_spec(options: argparse.Namespace, name: str) -> TrackerSpec:
    """The tracker that the options describe, to be built where it runs."""
    return TrackerSpec(
        name,
        weights=options.weights,
        config=tracker_config(options).to_dict(),
        device=str(chosen_device(options)),
    )
