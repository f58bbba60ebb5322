"""`dcfst scenario`: replay recorded bags and say whether what must happen happened."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dcfst_core
from dcfst_core.cli.options import (
    OptionError,
    add_tracker_options,
    apply_threads,
    chosen_device,
    tracker_config,
)
from dcfst_core.tracking.config import TrackerConfig


def add_command(commands: Any) -> None:
    """Add the `scenario` command to the parser."""
    parser = commands.add_parser(
        "scenario",
        help="replay recorded bags with pass and fail conditions",
        description="Replay every scenario in a folder: a rosbag2 and scenario.yaml, which says "
        "the box and what must happen. Exit status 1 when a condition is not met.",
    )
    parser.add_argument("folder", type=Path, help="one scenario, or a folder of them")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes as JSON")
    add_tracker_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Replay, print a line for each, and a verdict."""
    from dcfst_core.evaluation.scenarios import FILE, read_scenario, run_scenario
    from dcfst_core.evaluation.tables import format_table

    apply_threads(options)
    if not options.folder.is_dir():
        raise OptionError(f"expected a folder of scenarios; {options.folder} is none")
    places = (
        [options.folder]
        if (options.folder / FILE).is_file()
        else sorted(path.parent for path in options.folder.glob(f"*/{FILE}"))
    )
    places = [place for place in places if not options.only or place.name in options.only]
    missing = sorted(set(options.only) - {place.name for place in places})
    if not places or missing:
        raise OptionError(
            f"expected folders with {FILE} in {options.folder}; "
            f"{'there is no ' + ', '.join(missing) if missing else 'there is none'}"
        )
    scenarios = [read_scenario(place) for place in places]
    base = tracker_config(options).to_dict()
    model = dcfst_core.load_model(options.weights)
    outcomes = []
    for scenario in scenarios:
        try:
            config = TrackerConfig.from_dict({**base, **scenario.settings})
        except ValueError as error:
            raise OptionError(f"{scenario.name}: settings: {error}") from error
        tracker = dcfst_core.Tracker(model, config, chosen_device(options))
        outcomes.append(run_scenario(scenario, tracker))
        verdict = "; ".join(outcomes[-1].failed) or "passed"
        print(f"{scenario.name}: {verdict}", flush=True)
    names = list(outcomes[0].measured)
    rows = [
        (
            o.name,
            str(o.frames),
            *(_shown(o.measured[n]) for n in names),
            "failed" if o.failed else "passed",
        )
        for o in outcomes
    ]
    print("\n" + format_table(("scenario", "frames", *names, ""), rows))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps([asdict(o) for o in outcomes], indent=2) + "\n")
    return int(any(outcome.failed for outcome in outcomes))


def _shown(value: float) -> str:
    return "" if value != value else f"{value:.3g}"
