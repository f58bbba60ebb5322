"""Commands that other installed packages add to `dcfst`, found by their entry points.

A package offers one in the group `dcfst.commands`, under the name of the command that it goes
below and its own name, such as `bench.ros = dcfst_ros.bench_command:add_command`. The function
takes argparse's subparsers, adds a parser that sets `run`, and imports nothing heavy.
"""

from __future__ import annotations

import argparse
from importlib.metadata import EntryPoint, entry_points

GROUP = "dcfst.commands"


def commands_below(command: str) -> dict[str, EntryPoint]:
    """The entry points of one command's further commands by their names."""
    found = entry_points(group=GROUP)
    prefix = f"{command}."
    return {
        point.name.removeprefix(prefix): point
        for point in sorted(found, key=lambda point: point.name)
        if point.name.startswith(prefix)
    }


def add_commands_of_others(parser: argparse.ArgumentParser, command: str, help: str) -> None:
    """Add what other packages offer below a command; nothing where there is none."""
    points = commands_below(command)
    if not points:
        return
    commands = parser.add_subparsers(metavar=f"[{' | '.join(points)}]", help=help)
    for point in points.values():
        point.load()(commands)
