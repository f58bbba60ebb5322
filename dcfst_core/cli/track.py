"""`dcfst track`: follow one or more boxes through a video, a folder of images or a camera."""

from __future__ import annotations

import argparse
import contextlib
import csv
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import cv2
from tqdm import tqdm

from dcfst_core import Track, Tracker
from dcfst_core.cli.options import add_tracker_options, build_tracker, parse_box, positive_int
from dcfst_core.drawing import contact_sheet, draw_tracks, spread_indices
from dcfst_core.errors import FrameError
from dcfst_core.video import Frame, FrameSource, VideoWriter, open_frames

COLUMNS = ("frame", "target", "x", "y", "w", "h", "score", "state", "ms")
SHEET_FRAMES = 12


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
    parser.add_argument(
        "--init",
        action="append",
        required=True,
        metavar="X,Y,W,H",
        help="box in the start frame: left, top, width, height in pixels; once for each target",
    )
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


@dataclass
class Outputs:
    """Where tracks go; every part is optional, and is complete at any moment."""

    video: VideoWriter | None = None
    rows: TextIO | None = None
    sheet: Path | None = None
    drawn: list[Frame] = field(default_factory=list)
    stride: int = 1
    added: int = 0

    def add(self, index: int, frame: Frame, tracks: list[Track], ms: float) -> None:
        """Take the tracks of one frame; `index` counts from the video's own first frame."""
        if self.rows is not None:
            writer = csv.writer(self.rows, lineterminator="\n")
            for track in tracks:
                box = [f"{v:.2f}" for v in track.box_xywh]
                state = track.state.value
                writer.writerow(
                    [index, track.target_id, *box, f"{track.score:.4f}", state, f"{ms:.1f}"]
                )
            self.rows.flush()
        wants_sheet = self.sheet is not None and self.added % self.stride == 0
        self.added += 1
        if self.video is not None or wants_sheet:
            drawn = draw_tracks(frame, tracks, f"{index}")
            if self.video is not None:
                self.video.write(drawn)
            if wants_sheet:
                self._keep(drawn)

    def _keep(self, drawn: Frame) -> None:
        """Keep frames for the sheet evenly, however long the video turns out to be."""
        self.drawn.append(drawn)
        if len(self.drawn) > 4 * SHEET_FRAMES:
            self.drawn = self.drawn[::2]
            self.stride *= 2

    def finish(self) -> None:
        """Complete the video and write the contact sheet."""
        if self.video is not None:
            self.video.close()
        if self.sheet is not None and self.drawn:
            chosen = [self.drawn[i] for i in spread_indices(len(self.drawn), SHEET_FRAMES)]
            self.sheet.parent.mkdir(parents=True, exist_ok=True)
            if not cv2.imwrite(str(self.sheet), contact_sheet(chosen)[..., ::-1]):
                raise OSError(f"cannot write an image to {self.sheet}")


def run(options: argparse.Namespace) -> int:
    """Do the work; returns the exit status."""
    boxes = [parse_box(text) for text in options.init]
    with open_frames(options.video) as source, contextlib.ExitStack() as stack:
        if options.start_frame:
            source.skip(options.start_frame)
        tracker = build_tracker(options)
        outputs = _open_outputs(options, source, stack)
        stack.callback(outputs.finish)
        summary = _Summary()
        status = _follow(options, tracker, source, boxes, outputs, summary)
    if not options.quiet:
        print(summary.text(options), file=sys.stderr)
    return status


def _follow(
    options: argparse.Namespace,
    tracker: Tracker,
    source: FrameSource,
    boxes: list[tuple[float, float, float, float]],
    outputs: Outputs,
    summary: _Summary,
) -> int:
    """Track to the end of the source; what was done stays done, whatever ends it."""
    total = source.count
    if options.max_frames is not None:
        total = min(total or options.max_frames, options.max_frames)
    bar = tqdm(total=total, unit="frame", disable=options.quiet, file=sys.stderr)
    try:
        with bar:
            for done, frame in enumerate(source):
                start_s = time.perf_counter()
                tracks = _step(tracker, frame, boxes if done == 0 else [])
                ms = (time.perf_counter() - start_s) * 1e3
                outputs.add(options.start_frame + done, frame, tracks, ms)
                summary.add(tracks, ms)
                bar.set_postfix_str(" ".join(f"{t.state.value} {t.score:.2f}" for t in tracks[:3]))
                bar.update()
                if options.max_frames is not None and done + 1 >= options.max_frames:
                    return 0
    except KeyboardInterrupt:
        summary.ended = "stopped by Ctrl-C"
        return 130
    except FrameError as error:
        if not summary.times_ms:
            raise
        summary.ended = f"stopped at frame {options.start_frame + len(summary.times_ms)}: {error}"
        print(f"dcfst track: {summary.ended}; the frames before are kept", file=sys.stderr)
        return 1
    if source.truncated:
        print(f"dcfst track: {source.truncated}; its frames are kept", file=sys.stderr)
    return 0


def _step(
    tracker: Tracker, frame: Frame, boxes: list[tuple[float, float, float, float]]
) -> list[Track]:
    if not boxes:
        return list(tracker.update_all(frame).values())
    if len(boxes) == 1:
        return [tracker.init(frame, boxes[0])]
    return [tracker.init(frame, box, target_id=str(i)) for i, box in enumerate(boxes, start=1)]


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


@dataclass
class _Summary:
    """Counts for the lines printed at the end."""

    times_ms: list[float] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    ended: str = ""

    def add(self, tracks: list[Track], ms: float) -> None:
        self.times_ms.append(ms)
        self.states.update(track.state.value for track in tracks)

    def text(self, options: argparse.Namespace) -> str:
        updates = self.times_ms[1:]
        speed = f"{1e3 * len(updates) / sum(updates):.1f} FPS" if sum(updates) > 0 else "no update"
        states = ", ".join(f"{name} {count}" for name, count in self.states.most_common())
        lines = [f"{len(self.times_ms)} frames ({states}), {speed} in the tracker"]
        lines += [f"wrote {p}" for p in (options.out, options.csv, options.sheet) if p]
        return "\n".join(lines)
