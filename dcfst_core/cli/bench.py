"""`dcfst bench`: how fast is the tracker on this machine, stage by stage."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dcfst_core
from dcfst_core.boxes import BoxXYWH, parse_box
from dcfst_core.cli.extensions import add_commands_of_others
from dcfst_core.cli.options import (
    PRESETS,
    OptionError,
    add_tracker_options,
    apply_threads,
    chosen_device,
    positive_int,
    tracker_config,
)
from dcfst_core.evaluation.plots import plot_costs
from dcfst_core.evaluation.speed import Benchmark, document, measure, measure_other
from dcfst_core.evaluation.straightforward import StraightforwardTracker
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.evaluation.tables import format_table
from dcfst_core.evaluation.trackers import OpenCVTracker, TrackerUnavailable
from dcfst_core.inference.machine import describe_machine
from dcfst_core.media.video import Frame, open_frames
from dcfst_core.tracking.config import TrackerConfig

STRAIGHTFORWARD = "straightforward"
# The yardstick that robot teams know.
YARDSTICK = "csrt"


def add_command(commands: Any) -> None:
    """Add the `bench` command to the parser."""
    parser = commands.add_parser(
        "bench",
        help="measure milliseconds per stage and frames per second",
        description="Measure Tracker.update after a warm-up, on a synthetic clip or a video of "
        "one's own. The same command gives comparable tables on any CPU and GPU.",
    )
    parser.add_argument("--video", help="measure on this video instead of the synthetic clip")
    parser.add_argument("--init", metavar="X,Y,W,H", help="the target in --video's first frame")
    parser.add_argument(
        "--size", default="640x480", metavar="WxH", help="size of the synthetic frames (640x480)"
    )
    parser.add_argument(
        "--targets", type=positive_int, default=1, metavar="N", help="targets at once (1)"
    )
    parser.add_argument(
        "--iterations", type=positive_int, default=60, metavar="N", help="frames measured (60)"
    )
    parser.add_argument(
        "--warmup", type=positive_int, default=10, metavar="N", help="frames before that (10)"
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="also measure the other presets, OpenCV's CSRT where it is installed, and the path "
        "without shortcuts, with ratios",
    )
    parser.add_argument(
        "--sweep",
        metavar="NAME=V1,V2,...",
        help="measure at several values of `targets` or of one setting, e.g. targets=1,2,4,8",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw --sweep as a PNG")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurement as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_tracker_options(parser)
    parser.set_defaults(run=run)
    add_commands_of_others(parser, "bench", "measure something else")


def run(options: argparse.Namespace) -> int:
    """Measure, print tables, write JSON."""
    apply_threads(options)
    cases = _cases(options)
    if options.plot is not None and options.sweep is None:
        raise OptionError("--plot: expected --sweep, whose values are the plot's axis")
    frames, box = _frames(options)
    model = dcfst_core.load_model(options.weights)
    done: list[Benchmark] = []
    for case in cases:
        if case.name == STRAIGHTFORWARD:
            done += _yardstick(options, frames, box)
        kind = StraightforwardTracker if case.name == STRAIGHTFORWARD else dcfst_core.Tracker
        done.append(
            measure(
                kind(model, case.config, chosen_device(options)),
                frames,
                _spread_boxes(box, case.targets, frames[0]),
                options.iterations,
                options.warmup,
                case.name,
                progress=not options.quiet,
            )
        )
        print(done[-1].table() + "\n")
    if len(done) > 1:
        print(_comparison(done, done[-1] if options.compare else done[0]) + "\n")
    print("\n".join(f"{name}: {value}" for name, value in describe_machine().items()))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document(done), indent=2) + "\n")
        print(f"wrote {options.json}", file=sys.stderr)
    if options.plot is not None:
        plot_costs({float(b.name.partition("=")[2]): b for b in done}, options.plot, options.sweep)
        print(f"wrote {options.plot}", file=sys.stderr)
    return 0


def _yardstick(options: argparse.Namespace, frames: list[Frame], box: BoxXYWH) -> list[Benchmark]:
    try:
        tracker = OpenCVTracker(YARDSTICK)
    except TrackerUnavailable as error:
        print(f"{YARDSTICK}: left out, {error}\n")
        return []
    found = measure_other(
        tracker, frames, box, options.iterations, options.warmup, YARDSTICK, not options.quiet
    )
    print(found.table() + "\n")
    return [found]


@dataclass(frozen=True)
class Case:
    """One thing to measure."""

    name: str
    config: TrackerConfig
    targets: int


def _cases(options: argparse.Namespace) -> list[Case]:
    chosen = tracker_config(options)
    if options.sweep is not None:
        return _sweep(options, chosen)
    cases = {Path(options.config).stem: chosen}
    if options.compare:
        for name in PRESETS:
            cases.setdefault(name, getattr(TrackerConfig, name)())
        cases[STRAIGHTFORWARD] = chosen
    return [Case(name, config, options.targets) for name, config in cases.items()]


def _sweep(options: argparse.Namespace, chosen: TrackerConfig) -> list[Case]:
    name, _, listed = options.sweep.partition("=")
    try:
        values = [json.loads(v) for v in listed.split(",")]
        if name == "targets":
            return [Case(f"targets={positive_int(str(v))}", chosen, v) for v in values]
        configs = [dataclasses.replace(chosen, **{name: v}) for v in values]
    except (TypeError, ValueError, argparse.ArgumentTypeError) as error:
        raise OptionError(
            f"--sweep: expected targets=1,2,4 or SETTING=VALUE,VALUE; got {options.sweep!r} "
            f"({error})"
        ) from error
    return [
        Case(f"{name}={v}", config, options.targets)
        for v, config in zip(values, configs, strict=True)
    ]


def _comparison(done: list[Benchmark], base: Benchmark) -> str:
    rows = [(*b.summary(), b.fps / base.fps) for b in done]
    headings = ("settings", "FPS", "p50 ms", "p95 ms", "p99 ms", f"times {base.name}")
    return format_table(headings, rows, digits=2)


def _frames(options: argparse.Namespace) -> tuple[list[Frame], BoxXYWH]:
    """The frames to measure on, all in memory so that reading them costs nothing."""
    if options.video is not None:
        if options.init is None:
            raise OptionError("--video: expected --init x,y,w,h, the target in its first frame")
        with open_frames(options.video) as source:
            return list(itertools.islice(source, 120)), parse_box(options.init)
    width, height = frame_size(options.size)
    side = min(width, height) // 6
    clip = SyntheticClip(frames=60, size=(width, height), target=(side, side))
    x, y, w, h = (float(v) for v in clip.boxes_xywh()[0])
    return list(clip), (x, y, w, h)


def frame_size(text: str) -> tuple[int, int]:
    """Read `WIDTHxHEIGHT`; OptionError where it is not, or too small to track in."""
    try:
        width, height = (int(v) for v in text.lower().split("x"))
    except ValueError:
        width = height = 0
    if min(width, height) < 64:
        raise OptionError(f"--size: expected WIDTHxHEIGHT of at least 64x64; got {text!r}")
    return width, height


def _spread_boxes(box: BoxXYWH, targets: int, frame: Frame) -> list[BoxXYWH]:
    """The first box, and further ones of its size spread over the frame."""
    _, _, w, h = box
    height, width = frame.shape[:2]
    boxes = [box]
    for index in range(1, targets):
        # Golden-ratio steps fill any frame evenly without a grid to choose.
        boxes.append(((width - w) * (index * 0.618 % 1), (height - h) * (index * 0.382 % 1), w, h))
    return boxes
