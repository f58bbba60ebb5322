"""`dcfst track`: follow one or more boxes through a video, a folder of images or a camera."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dcfst_core import Tracker
from dcfst_core.cli.arguments import whole_number
from dcfst_core.cli.interrupts import between_items
from dcfst_core.cli.options import (
    add_init_options,
    add_tracker_options,
    build_tracker,
    positive_int,
)
from dcfst_core.cli.outputs import COLUMNS, Outputs, Summary, TableFile
from dcfst_core.cli.targets import (
    add_target_options,
    found_before,
    given_boxes,
    notes_of,
    save_targets,
    start_targets,
)
from dcfst_core.media.output_files import check_outputs
from dcfst_core.media.video import (
    FrameSource,
    TimedFrame,
    VideoError,
    VideoWriter,
    open_frames,
)


def add_command(commands: Any) -> None:
    """Add the `track` command to the parser."""
    parser = commands.add_parser(
        "track",
        help="follow a box through a video",
        description="Follow one or more boxes through a video. Without --out, --csv or --sheet "
        "the tracks are printed as CSV. Ctrl-C stops and keeps what was tracked.",
    )
    parser.add_argument(
        "video", help="video file, folder of images, camera, pipe (- is stdin) or stream address"
    )
    add_init_options(parser, required=False)
    add_target_options(parser)
    parser.add_argument("--out", type=Path, help="video with the tracks drawn: .mp4, .avi, ...")
    parser.add_argument("--csv", metavar="FILE", help="tracks as CSV; - prints them")
    parser.add_argument("--sheet", type=Path, help="12 frames on one page: .png or .jpg")
    parser.add_argument(
        "--heatmap",
        type=Path,
        metavar="DIR",
        help="a PNG of each frame with the scores in colour: where the regressor sees the target",
    )
    parser.add_argument(
        "--start-frame", type=whole_number, default=0, metavar="N", help="frame of --init, from 0"
    )
    parser.add_argument(
        "--max-frames", type=positive_int, metavar="N", help="stop after that many frames"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    add_tracker_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do the work; returns the exit status."""
    boxes, saved = given_boxes(options), found_before(options)
    written = {"--out": options.out, "--csv": options.csv, "--sheet": options.sheet}
    written |= {"--save": options.save, "--heatmap": options.heatmap}
    found = [path for text in options.find for path in text.split("+")]
    check_outputs(written, (options.video, options.weights, options.config, *found))
    with open_frames(options.video) as source, contextlib.ExitStack() as stack:
        source.skip(options.start_frame)
        tracker = build_tracker(options)
        frames = source.timed()
        first = _start_frame(next(frames), options.start_frame)
        began_s = time.perf_counter()
        tracker.keep_score_maps = options.heatmap is not None
        tracks = start_targets(tracker, first.rgb, boxes, saved)
        ms = (time.perf_counter() - began_s) * 1e3
        outputs = _open_outputs(options, source, stack)
        summary = Summary()
        with contextlib.ExitStack() as finishing:
            finishing.callback(lambda: _tell(outputs.finish()))
            outputs.add(first, tracks, ms)
            summary.add(tracks, ms)
            status = _follow(options, tracker, source, frames, (outputs, summary), first)
            save_targets(tracker, options)
    if not options.quiet:
        print(summary.text((options.out, options.csv, options.sheet)), file=sys.stderr)
    return status


def _start_frame(first: TimedFrame, start: int) -> TimedFrame:
    if first.number != start:
        raise VideoError(
            f"frame {start}, on which --init was drawn, cannot be read; the first that can is "
            f"{first.number}: draw the box there and add --start-frame {first.number}"
        )
    return first


def _follow(
    options: argparse.Namespace,
    tracker: Tracker,
    source: FrameSource,
    frames: Iterator[TimedFrame],
    results: tuple[Outputs, Summary],
    first: TimedFrame,
) -> int:
    """Track to the end of the source; what was done stays done, whatever ends it."""
    outputs, summary = results
    total = source.count
    if options.max_frames is not None:
        total = min(total or options.max_frames, options.max_frames)
    left = None if options.max_frames is None else options.max_frames - 1
    bar = tqdm(total=total, initial=1, unit="frame", disable=options.quiet, file=sys.stderr)
    try:
        with bar:
            for frame in between_items(itertools.islice(frames, left)):
                _tell(_taken(source.notes))
                if frame.rgb.shape != first.rgb.shape:
                    return _release(first, frame)
                start_s = time.perf_counter()
                tracks = list(tracker.update_all(frame.rgb).values())
                ms = (time.perf_counter() - start_s) * 1e3
                _tell([f"frame {frame.number}: {note}" for note in notes_of(tracker)])
                outputs.add(frame, tracks, ms)
                summary.add(tracks, ms)
                bar.set_postfix_str(" ".join(f"{t.state.value} {t.score:.2f}" for t in tracks[:3]))
                bar.update()
    except KeyboardInterrupt:
        print("dcfst track: stopped by Ctrl-C; the frames before are kept", file=sys.stderr)
        return 130
    _tell(_taken(source.notes))
    if source.missing:
        _tell([f"{source.missing}; what was read is kept"])
    return 1 if source.missing or source.lost else 0


def _release(first: TimedFrame, frame: TimedFrame) -> int:
    """As the node does: boxes in pixels mean nothing in images of another size."""
    (h, w), (new_h, new_w) = first.rgb.shape[:2], frame.rgb.shape[:2]
    _tell(
        [
            f"the image size changed from {w}x{h} to {new_w}x{new_h} at frame {frame.number}: the "
            "targets are released; the frames before are kept"
        ]
    )
    return 1


def _taken(notes: list[str]) -> list[str]:
    taken = list(notes)
    notes.clear()
    return taken


def _tell(notes: list[str]) -> None:
    for note in notes:
        tqdm.write(f"dcfst track: {note}", file=sys.stderr)


def _open_outputs(
    options: argparse.Namespace, source: FrameSource, stack: contextlib.ExitStack
) -> Outputs:
    outputs = Outputs(sheet=options.sheet, heatmaps=options.heatmap)
    if options.out is not None:
        outputs.video = stack.enter_context(VideoWriter(options.out, source.fps or 30.0))
    nothing_else = options.out is None and options.sheet is None and options.heatmap is None
    if options.csv == "-" or (options.csv is None and nothing_else):
        outputs.rows = sys.stdout
    elif options.csv is not None:
        outputs.rows = stack.enter_context(TableFile(Path(options.csv)))
    if outputs.rows is not None:
        outputs.rows.write(",".join(COLUMNS) + "\n")
    return outputs
