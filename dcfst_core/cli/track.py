"""`dcfst track`: follow one or more boxes through a video, a folder of images or a camera."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dcfst_core import Track, Tracker
from dcfst_core.boxes import BoxXYWH
from dcfst_core.cli.interrupts import between_items
from dcfst_core.cli.options import (
    add_init_options,
    add_tracker_options,
    build_tracker,
    initial_boxes,
    positive_int,
)
from dcfst_core.cli.outputs import COLUMNS, Outputs, Summary
from dcfst_core.errors import FrameError
from dcfst_core.media.video import Frame, FrameSource, VideoWriter, open_frames


def add_command(commands: Any) -> None:
    """Add the `track` command to the parser."""
    parser = commands.add_parser(
        "track",
        help="follow a box through a video",
        description="Follow one or more boxes through a video. Without --out, --csv or --sheet "
        "the tracks are printed as CSV. Ctrl-C stops and keeps what was tracked.",
    )
    parser.add_argument(
        "video", help="video file, folder of images, camera index or stream address"
    )
    add_init_options(parser)
    parser.add_argument("--out", type=Path, help="video with the tracks drawn: .mp4, .avi, ...")
    parser.add_argument("--csv", metavar="FILE", help="tracks as CSV; - prints them")
    parser.add_argument("--sheet", type=Path, help="12 frames on one page: .png or .jpg")
    parser.add_argument(
        "--start-frame", type=int, default=0, metavar="N", help="frame of --init, from 0"
    )
    parser.add_argument(
        "--max-frames", type=positive_int, metavar="N", help="stop after that many frames"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    add_tracker_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do the work; returns the exit status."""
    boxes = initial_boxes(options)
    with open_frames(options.video) as source, contextlib.ExitStack() as stack:
        if options.start_frame:
            source.skip(options.start_frame)
        tracker = build_tracker(options)
        outputs = _open_outputs(options, source, stack)
        stack.callback(outputs.finish)
        summary = Summary()
        status = _follow(options, tracker, source, boxes, outputs, summary)
    if not options.quiet:
        print(summary.text((options.out, options.csv, options.sheet)), file=sys.stderr)
    return status


def _follow(
    options: argparse.Namespace,
    tracker: Tracker,
    source: FrameSource,
    boxes: dict[str, BoxXYWH],
    outputs: Outputs,
    summary: Summary,
) -> int:
    """Track to the end of the source; what was done stays done, whatever ends it."""
    total = source.count
    if options.max_frames is not None:
        total = min(total or options.max_frames, options.max_frames)
    bar = tqdm(total=total, unit="frame", disable=options.quiet, file=sys.stderr)
    try:
        with bar:
            for done, frame in enumerate(between_items(source)):
                start_s = time.perf_counter()
                tracks = step(tracker, frame, boxes if done == 0 else {})
                ms = (time.perf_counter() - start_s) * 1e3
                outputs.add(options.start_frame + done, frame, tracks, ms)
                summary.add(tracks, ms)
                bar.set_postfix_str(" ".join(f"{t.state.value} {t.score:.2f}" for t in tracks[:3]))
                bar.update()
                if options.max_frames is not None and done + 1 >= options.max_frames:
                    return 0
    except KeyboardInterrupt:
        print("dcfst track: stopped by Ctrl-C; the frames before are kept", file=sys.stderr)
        return 130
    except FrameError as error:
        if not summary.times_ms:
            raise
        where = f"stopped at frame {options.start_frame + len(summary.times_ms)}"
        print(f"dcfst track: {where}: {error}; the frames before are kept", file=sys.stderr)
        return 1
    if source.truncated:
        print(f"dcfst track: {source.truncated}; its frames are kept", file=sys.stderr)
    return 0


def step(tracker: Tracker, frame: Frame, boxes: dict[str, BoxXYWH]) -> list[Track]:
    """Start targets on a frame where there are boxes by id, else find all targets in it."""
    if boxes:
        return [tracker.init(frame, box, target_id) for target_id, box in boxes.items()]
    return list(tracker.update_all(frame).values())


def _open_outputs(
    options: argparse.Namespace, source: FrameSource, stack: contextlib.ExitStack
) -> Outputs:
    outputs = Outputs(sheet=options.sheet)
    if options.out is not None:
        outputs.video = stack.enter_context(VideoWriter(options.out, source.fps or 30.0))
    nothing_else = options.out is None and options.sheet is None
    if options.csv == "-" or (options.csv is None and nothing_else):
        outputs.rows = sys.stdout
    elif options.csv is not None:
        path = Path(options.csv)
        path.parent.mkdir(parents=True, exist_ok=True)
        outputs.rows = stack.enter_context(path.open("w", newline=""))
    if outputs.rows is not None:
        print(",".join(COLUMNS), file=outputs.rows)
    return outputs
