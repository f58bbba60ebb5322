"""`dcfst vot`: run as a tracker of the VOT toolkit."""

from __future__ import annotations

import argparse
from typing import Any

from dcfst_core.cli.options import add_tracker_options, build_tracker
from dcfst_core.evaluation.vot_server import serve


def add_command(commands: Any) -> None:
    """Add the `vot` command to the parser."""
    parser = commands.add_parser(
        "vot",
        help="run as a tracker of the VOT toolkit",
        description="Speak TraX on standard input and output. For the VOT toolkit's trackers.ini: "
        "`protocol = trax` and `command = dcfst vot`. Needs `pip install vot-trax`.",
    )
    add_tracker_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve one client until it quits."""
    serve(build_tracker(options))
    return 0
