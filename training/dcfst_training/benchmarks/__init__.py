"""`dcfst-train bench solver | step | loader`: what the parts of training cost on this machine."""

from __future__ import annotations

import argparse
import sys

USAGE = """usage: dcfst-train bench solver [--help]    dual (Woodbury) against primal regression
       dcfst-train bench step [--help]      a training step, and what its shortcuts save
       dcfst-train bench loader [--help]    training pairs a second and loader process"""


def main(arguments: list[str]) -> None:
    """Entry point of `dcfst-train bench`."""
    from dcfst_training.benchmarks import loader, solver, step

    parts = {"solver": solver.main, "step": step.main, "loader": loader.main}
    command, *rest = arguments or [""]
    if command not in parts:
        print(USAGE, file=sys.stderr)
        raise SystemExit(0 if command in ("-h", "--help") else 2)
    parts[command](rest)


def positive_ints(text: str) -> list[int]:
    """Argument type: whole numbers above zero, separated by commas."""
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = [0]
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"expected numbers as 225,961; got {text!r}")
    return values
