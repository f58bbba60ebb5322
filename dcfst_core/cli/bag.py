"""`dcfst bag`: follow one or more boxes through a rosbag2, write a new one with their tracks."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from dcfst_core import Track, Tracker
from dcfst_core.boxes import BoxXYWH
from dcfst_core.cli.interrupts import between_items
from dcfst_core.cli.options import (
    OptionError,
    add_init_options,
    add_tracker_options,
    build_tracker,
    initial_boxes,
)
from dcfst_core.cli.outputs import Outputs, Summary
from dcfst_core.cli.targets import notes_of, start_targets
from dcfst_core.media.image_messages import ImageMessageError, stamp_to_ns, to_rgb
from dcfst_core.media.output_files import check_outputs
from dcfst_core.media.video import Frame, TimedFrame, VideoWriter

if TYPE_CHECKING:
    from dcfst_core.media.bags import ImageBag
    from dcfst_core.media.tracked_bag import TrackedBag

# As the node's init_stamp_tolerance_s.
STAMP_TOLERANCE_NS = 5_000_000


def add_command(commands: Any) -> None:
    """Add the `bag` command to the parser."""
    parser = commands.add_parser(
        "bag",
        help="follow a box through a rosbag2",
        description="Follow one or more boxes through the images of a rosbag2 (mcap or sqlite3) "
        "and write a new bag: everything that was in the old one, and the tracks, stamped as "
        "their images. No ROS is needed. Ctrl-C stops and keeps what was written.",
    )
    parser.add_argument("bag", type=Path, help="the bag: its folder, or one .mcap or .db3 file")
    parser.add_argument(
        "--image-topic", required=True, metavar="T", help="sensor_msgs/Image or CompressedImage"
    )
    add_init_options(parser)
    parser.add_argument(
        "--at",
        metavar="STAMP",
        help="header stamp of the image that --init was drawn on, in seconds; +S counts from the "
        "first image (default: the first image)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="BAG", help="folder of the new bag (default: BAG_tracked)"
    )
    parser.add_argument("--video", type=Path, metavar="FILE", help="the images with tracks drawn")
    parser.add_argument("--sheet", type=Path, help="12 frames on one page: .png or .jpg")
    parser.add_argument(
        "--tracker-name",
        default="/tracker",
        metavar="NAME",
        help="topics are NAME/track, NAME/tracks and NAME/state (default: /tracker)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    add_tracker_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do the work; returns the exit status."""
    try:
        from dcfst_core.media.bags import ImageBag
        from dcfst_core.media.tracked_bag import TrackedBag
    except ImportError as error:
        raise OptionError(
            f"reading bags needs the package rosbags ({error}): {sys.executable} -m pip install "
            "rosbags"
        ) from error
    folder = _bag_folder(options.bag)
    out = options.out or folder.with_name(f"{folder.stem}_tracked")
    written = {"BAG": out, "--video": options.video, "--sheet": options.sheet}
    check_outputs(written, (options.bag, folder, options.weights, options.config))
    with ImageBag(options.bag, options.image_topic) as source, contextlib.ExitStack() as stack:
        for note in source.notes:
            _warn(note)
        image = _start_image(options.at, source)
        start = Start(build_tracker(options), image, initial_boxes(options))
        video = None
        if options.video is not None:
            video = stack.enter_context(VideoWriter(options.video, source.fps))
        outputs = Outputs(video=video, sheet=options.sheet)
        target = stack.enter_context(TrackedBag(out, source, options.tracker_name))
        stack.callback(lambda: _warn(*outputs.finish()))
        for topic, kind in target.left_out.items():
            _warn(f"{topic} is left out: neither the bag nor this program knows {kind}")
        passage = Passage(source, target, start, outputs)
        status = _go_through(passage, quiet=options.quiet) or int(not source.complete)
    if not options.quiet:
        print(passage.summary.text(list(written.values())), file=sys.stderr)
    return status


class Start:
    """The tracker on its first frame, before anything is written: a bad box leaves no files."""

    def __init__(self, tracker: Tracker, image: Any, boxes: dict[str, BoxXYWH]) -> None:
        self.tracker = tracker
        self.stamp_ns = stamp_to_ns(image.header.stamp)
        frame = to_rgb(image)
        began_s = time.perf_counter()
        self.tracks = start_targets(tracker, frame, boxes)
        self.ms = (time.perf_counter() - began_s) * 1e3


@dataclass
class Passage:
    """One way through a bag: copies every message and tracks in the images."""

    source: ImageBag
    target: TrackedBag
    start: Start
    outputs: Outputs
    summary: Summary = field(default_factory=Summary)
    images: int = 0
    _started: bool = False
    _states: dict[str, str] = field(default_factory=dict)
    _size: tuple[int, ...] | None = None

    def take(self, connection: Any, time_ns: int, data: bytes) -> bool:
        """Copy one message, and track in it if it is one of the images; says whether it is."""
        self.target.copy(connection, time_ns, data)
        if not self.source.is_image(connection):
            return False
        self.images += 1
        if not self._started or self.start.tracker.target_ids:
            self._look(self.source.image(connection, data), time_ns)
        return True

    @property
    def states(self) -> str:
        """The first targets' states, for the progress bar."""
        return " ".join(list(self._states.values())[:3])

    def _look(self, image: Any, time_ns: int) -> None:
        if not self._started and stamp_to_ns(image.header.stamp) != self.start.stamp_ns:
            return
        try:
            frame = to_rgb(image)
        except ImageMessageError as error:
            _warn(f"image {self.images} ignored: {error}")
            return
        if self._started and frame.shape != self._size:
            self._release(time_ns, frame)
        else:
            self._track(image.header, time_ns, frame)

    def _track(self, header: Any, time_ns: int, frame: Frame) -> None:
        if self._started:
            began_s = time.perf_counter()
            tracks = list(self.start.tracker.update_all(frame).values())
            ms = (time.perf_counter() - began_s) * 1e3
            _warn(*(f"image {self.images}: {note}" for note in notes_of(self.start.tracker)))
        else:
            tracks, ms = self.start.tracks, self.start.ms
            self._started, self._size = True, frame.shape
        self.target.write_tracks(header, time_ns, tracks)
        for track in tracks:
            self._set_state(time_ns, track)
        time_s = (stamp_to_ns(header.stamp) - self.start.stamp_ns) / 1e9
        self.outputs.add(TimedFrame(frame, self.images - 1, time_s), tracks, ms)
        self.summary.add(tracks, ms)

    def _release(self, time_ns: int, frame: Frame) -> None:
        """As the node does: boxes in pixels mean nothing in images of another size."""
        assert self._size is not None
        _warn(
            f"the image size changed from {self._size[1]}x{self._size[0]} to "
            f"{frame.shape[1]}x{frame.shape[0]} at image {self.images}: the targets are released"
        )
        for target_id in self.start.tracker.target_ids:
            self.target.write_state(time_ns, target_id, "idle", 0.0)
        self.start.tracker.reset()

    def _set_state(self, time_ns: int, track: Track) -> None:
        if self._states.get(track.target_id) != track.state.value:
            self._states[track.target_id] = track.state.value
            self.target.write_state(time_ns, track.target_id, track.state.value, track.score)


def _go_through(passage: Passage, quiet: bool) -> int:
    """All messages in order; what was done stays done, whatever ends it."""
    total = passage.source.image_count
    try:
        with tqdm(total=total, unit="frame", disable=quiet, file=sys.stderr) as bar:
            for connection, time_ns, data in between_items(passage.source.messages()):
                if passage.take(connection, time_ns, data):
                    bar.set_postfix_str(passage.states)
                    bar.update()
    except KeyboardInterrupt:
        _warn("stopped by Ctrl-C; the new bag ends here")
        return 130
    return 0


def _start_image(text: str | None, source: ImageBag) -> Any:
    """The message of the image to start on."""
    if text is None:
        return source.first_image()
    try:
        given_ns = int(Decimal(text) * 1_000_000_000)
    except (InvalidOperation, ValueError, OverflowError):
        raise OptionError(
            f"--at: expected a stamp in seconds, such as 1700000000.25, or +S; got {text!r}"
        ) from None
    if text.startswith("+"):
        given_ns += stamp_to_ns(source.first_image().header.stamp)
    return source.image_near(given_ns, STAMP_TOLERANCE_NS)


def _bag_folder(bag: Path) -> Path:
    """The folder of a bag; a lone file of messages is its own."""
    bag = bag.resolve()
    return bag.parent if bag.is_file() and (bag.parent / "metadata.yaml").exists() else bag


def _warn(*texts: str) -> None:
    for text in texts:
        tqdm.write(f"dcfst bag: {text}", file=sys.stderr)
