"""`dcfst hub`: weights in the layout of the Hugging Face Hub, ready to be uploaded."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dcfst_core.network.checkpoint import default_weights_path, load_model
from dcfst_core.network.hub import locate_weights, write_hub_folder


def add_command(commands: Any) -> None:
    """Add the `hub` command to the parser."""
    parser = commands.add_parser(
        "hub",
        help="write weights in the layout of the Hugging Face Hub",
        description="Write model.safetensors, config.json and the card into a folder, which "
        "load_tracker and --weights take as it is; `hf upload OWNER/NAME FOLDER` publishes it.",
    )
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--weights", metavar="FILE", help="default: the packaged weights")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check the weights, then write."""
    weights = locate_weights(options.weights or default_weights_path())
    load_model(weights)
    for path in write_hub_folder(weights, options.folder):
        print(path)
    return 0
