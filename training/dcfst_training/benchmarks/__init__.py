"""`dcfst-train bench solver | step | loader | fit`: what training costs on this machine."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

USAGE = """usage: dcfst-train bench solver [--help]    dual (Woodbury) against primal regression
       dcfst-train bench step [--help]      a training step, and what its shortcuts save
       dcfst-train bench loader [--help]    training pairs a second and loader process
       dcfst-train bench fit [--help]       the first steps of a recipe, loader and all"""

PARTS = ("solver", "step", "loader", "fit")


def main(arguments: list[str]) -> None:
    """Entry point of `dcfst-train bench`."""
    command, *rest = arguments or [""]
    if command not in PARTS:
        print(USAGE, file=sys.stderr)
        raise SystemExit(0 if command in ("-h", "--help") else 2)
    import_module(f"dcfst_training.benchmarks.{command}").main(rest)


def positive_ints(text: str) -> list[int]:
    """Argument type: whole numbers above zero, separated by commas."""
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = [0]
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"expected numbers as 225,961; got {text!r}")
    return values
