"""Targets given on the command line: boxes, or files of targets that were saved before."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dcfst_core import Track, Tracker
from dcfst_core.boxes import BoxXYWH
from dcfst_core.cli.options import OptionError, initial_boxes
from dcfst_core.media.frames import Frame
from dcfst_core.tracking.saved_target import SavedTarget, merge_targets, read_target

SUFFIX = ".target"


def add_target_options(parser: Any) -> None:
    """Add --find and --save."""
    parser.add_argument(
        "--find",
        action="append",
        default=[],
        metavar="FILE",
        help="a target saved before, looked for in the whole frame; once for each target, files "
        "of one object joined by + (cup1.target+cup2.target)",
    )
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FILE",
        help=f"write what was learned of the target, e.g. cup{SUFFIX}; with several targets their "
        "ids are put before the suffix",
    )


def given_boxes(options: argparse.Namespace) -> dict[str, BoxXYWH]:
    """The boxes of --init by id; OptionError where neither they nor --find are given."""
    if not options.init and not options.find:
        raise OptionError("expected --init x,y,w,h or --find FILE, to know what to follow")
    return initial_boxes(options) if options.init else {}


def found_before(options: argparse.Namespace) -> dict[str, SavedTarget]:
    """The targets of --find by id; TargetError for files that are none."""
    targets: dict[str, SavedTarget] = {}
    for text in options.find:
        first, *others = (read_target(path) for path in text.split("+"))
        for other in others:
            first = merge_targets(first, other)
        if first.target_id in targets:
            raise OptionError(
                f"--find: two files hold a target called {first.target_id!r}; join files of one "
                "object with +"
            )
        targets[first.target_id] = first
    return targets


def start_targets(
    tracker: Tracker,
    frame: Frame,
    boxes: dict[str, BoxXYWH],
    saved: Mapping[str, SavedTarget] = MappingProxyType({}),
) -> list[Track]:
    """Give the tracker its targets on the first frame; their tracks in it.

    OptionError for an id that both a box and a file have.
    """
    twice = sorted(set(boxes) & set(saved))
    if twice:
        raise OptionError(f"--init, --find: both name {twice[0]!r}; give another --id")
    tracks = [tracker.init(frame, box, target_id) for target_id, box in boxes.items()]
    for target_id, target in saved.items():
        tracker.load_target(target, target_id)
    return tracks + list(tracker.update_all(frame, only=list(saved)).values())


def notes_of(tracker: Tracker) -> list[str]:
    """What went wrong with targets since the last call, for the user."""
    return [f"{name}: {'; '.join(notes)}" for name, notes in tracker.pop_notes().items()]


def save_targets(tracker: Tracker, options: argparse.Namespace) -> None:
    """Write the files of --save."""
    if options.save is None:
        return
    ids = tracker.target_ids
    for target_id in ids:
        path = options.save
        if len(ids) > 1:
            # An id comes from the command line or a file: it must not lead into another folder.
            safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in target_id)
            path = path.with_name(f"{path.stem}.{safe}{path.suffix}")
        tracker.save_target(target_id, path)
        print(f"dcfst track: saved {target_id!r} as {path}", file=sys.stderr)
