"""`dcfst info`: versions, devices, and what is known of the weights; for bug reports."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import dcfst_core
from dcfst_core.errors import CheckpointError
from dcfst_core.inference.machine import describe_machine
from dcfst_core.network.checkpoint import default_weights_path, load_model


def add_command(commands: Any) -> None:
    """Add the `info` command to the parser."""
    parser = commands.add_parser("info", help="show versions, devices and weights")
    parser.add_argument("--weights", metavar="FILE", help="look at these instead of the packaged")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the facts; 1 when the weights cannot be loaded."""
    facts: dict[str, Any] = {"dcfst_core": dcfst_core.__version__, **describe_machine()}
    facts["device auto"] = str(dcfst_core.choose_device("auto"))
    path = options.weights or default_weights_path()
    facts["weights"] = str(path)
    status = 0
    try:
        model = load_model(options.weights)
        facts["parameters"] = sum(p.numel() for p in model.parameters())
        facts["weights metadata"] = model.metadata
    except CheckpointError as error:
        facts["weights error"] = str(error)
        status = 1
    print(json.dumps(facts, indent=2) if options.json else _lines(facts))
    if status:
        print("dcfst info: the weights cannot be used", file=sys.stderr)
    return status


def _lines(facts: dict[str, Any], indent: str = "") -> str:
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", _lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {value}")
    return "\n".join(lines)
