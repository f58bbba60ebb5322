"""The command line, `dcfst`: track, bag, eval, tune, scenario, bench, info, export, hub, vot."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dcfst_core.cli import bag, bench, evaluate, export, hub, info, scenario, track, tune, vot
from dcfst_core.cli.arguments import with_negative_boxes
from dcfst_core.errors import DCFSTError, is_out_of_memory

OUT_OF_MEMORY = (
    "expected room for images and targets; try smaller images, fewer targets, fewer "
    "--workers, --preset fast or another --device"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its status: 0 done, 1 an error that is explained, 130 Ctrl-C."""
    parser = build_parser()
    options = parser.parse_args(with_negative_boxes(sys.argv[1:] if argv is None else argv))
    try:
        status: int = options.run(options)
    except (DCFSTError, OSError) as error:
        print(f"dcfst {options.command}: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        print(
            f"dcfst {options.command}: out of memory: {OUT_OF_MEMORY} ({error})", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        print(f"dcfst {options.command}: stopped; what was finished is kept", file=sys.stderr)
        return 130
    return status


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each sets `run`, the function that does the work."""
    parser = argparse.ArgumentParser(
        prog="dcfst",
        description="DCFST visual tracker: give it one box, it keeps the object.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (track, bag, evaluate, tune, scenario, bench, info, export, hub, vot):
        module.add_command(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
