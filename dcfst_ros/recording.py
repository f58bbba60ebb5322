"""Joining images, tracks and states by stamp into a video, a contact sheet and a table. No ROS."""

from __future__ import annotations

import csv
import statistics
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from dcfst_core.media.drawing import contact_sheet, draw_tracks, spread_indices
from dcfst_core.media.image_messages import ImageMessageError, to_rgb
from dcfst_core.media.sinks import VideoWriter, write_image
from dcfst_ros.conversions import BoxXYWH, detection_to_box
from dcfst_ros.health import percentile

COLUMNS = ("frame", "stamp", "target", "x", "y", "w", "h", "score", "state", "latency_ms")
SHEET_FRAMES = 12
USUAL_FPS = 30.0
# Messages of different topics may overtake each other by a frame.
LAG_FRAMES = 2
# Images that wait for their tracks: those of a tracker that is gone are written without.
WAITING_FRAMES = 150
# Tracks that wait for their image; those of images that never come are forgotten.
EARLY_FRAMES = 100


@dataclass(frozen=True)
class Recorded:
    """A target in a frame, as the messages tell; like dcfst_core's Track, without PyTorch."""

    target_id: str
    box_xywh: BoxXYWH
    score: float
    state: str


@dataclass
class _Pending:
    image: Any
    arrival_ns: int
    detections: list[Any] | None = None
    latency_ms: float = float("nan")


class EvenSample:
    """Keep evenly spread items of a stream of unknown length, at most `2 * wanted` at a time."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self._stride = 1
        self._count = 0
        self._items: list[Any] = []
        self._last: Any = None

    def add(self, item: Any) -> None:
        """Take the next item."""
        if self._count % self._stride == 0:
            self._items.append(item)
            if len(self._items) >= 2 * self.wanted:
                self._items = self._items[::2]
                self._stride *= 2
        self._last = item
        self._count += 1

    def result(self) -> list[Any]:
        """At most `wanted` items, the first and the last among them."""
        items = list(self._items)
        if self._last is not None and items[-1] is not self._last:
            items.append(self._last)
        return [items[i] for i in spread_indices(len(items), self.wanted)]


@dataclass
class TrackRecorder:
    """Write `track.mp4`, `track.csv` and `contact_sheet.png` into `folder` as messages come.

    `fps`: rate of the video; 0 gives its frames the times of the images' stamps. `notes`: what
    the user should hear. The latency is that of the tracker: from an image's arrival here to that
    of its tracks.

    A frame is written once its tracks and those of the next frames came, so nothing is lost when
    the recording is interrupted; `finish` writes the rest and the sheet. Without a tracker, frames
    are written `WAITING_FRAMES` later.
    """

    folder: Path
    fps: float = 0.0
    notes: list[str] = field(default_factory=list)
    frames_in: int = 0
    frames_tracked: int = 0
    states: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    _pending: dict[int, _Pending] = field(default_factory=dict)
    _early: dict[int, tuple[list[Any], int]] = field(default_factory=dict)
    _state_changes: list[tuple[int, str, str, float]] = field(default_factory=list)
    _last_boxes: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    _span_ns: list[int] = field(default_factory=list)
    _written: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._video = VideoWriter(self.folder / "track.mp4", self.fps or USUAL_FPS)
        self._first_ns: int | None = None
        self._file: TextIO = open(self.folder / "track.csv", "w", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(COLUMNS)
        self._sheet = EvenSample(SHEET_FRAMES)

    def add_image(self, stamp_ns: int, message: Any, arrival_ns: int | None = None) -> None:
        """An image as it was published; it arrived at its stamp if nothing else is given."""
        self.frames_in += 1
        arrival_ns = stamp_ns if arrival_ns is None else arrival_ns
        self._pending[stamp_ns] = _Pending(message, arrival_ns)
        early = self._early.pop(stamp_ns, None)
        if early is not None:
            self.add_tracks(stamp_ns, *early)
        while len(self._pending) > WAITING_FRAMES:
            self._write(min(self._pending))

    def add_tracks(self, stamp_ns: int, detections: list[Any], arrival_ns: int) -> None:
        """All targets seen in the image of that stamp; `arrival_ns` on the images' clock.

        Small messages may overtake their large image: such tracks wait for it.
        """
        if stamp_ns not in self._pending:
            self._early[stamp_ns] = (detections, arrival_ns)
            if len(self._early) > EARLY_FRAMES:
                del self._early[next(iter(self._early))]
            return
        entry = self._pending[stamp_ns]
        again = entry.detections is not None  # once before its box was there, and once with it
        entry.detections = detections
        entry.latency_ms = max(arrival_ns - entry.arrival_ns, 0) / 1e6
        self.frames_tracked += not again
        self.latencies_ms.append(entry.latency_ms)
        self._span_ns = [*self._span_ns[:1], arrival_ns]
        answered = [stamp for stamp, p in self._pending.items() if p.detections is not None]
        for stamp in sorted(self._pending):
            if len([a for a in answered if a > stamp]) < LAG_FRAMES:
                break
            self._write(stamp)

    def add_state(self, target_id: str, state: str, score: float, stamp_ns: int) -> None:
        """A target's change of state."""
        self._state_changes.append((stamp_ns, target_id, state, score))

    def finish(self) -> None:
        """Write what is still pending and the contact sheet; safe to call twice."""
        for stamp in sorted(self._pending):
            self._write(stamp)
        self._video.close()
        self._file.close()
        drawn = self._sheet.result()
        if drawn:
            write_image(self.folder / "contact_sheet.png", contact_sheet(drawn))

    def table(self) -> str:
        """What was recorded, as a short table."""
        seconds = (self._span_ns[-1] - self._span_ns[0]) / 1e9 if len(self._span_ns) > 1 else 0.0
        rows = [("frames in", str(self.frames_in)), ("frames tracked", str(self.frames_tracked))]
        rows += [(f"  {name}", str(count)) for name, count in self.states.most_common()]
        if seconds:
            rows.append(("FPS", f"{(self.frames_tracked - 1) / seconds:.1f}"))
        if self.latencies_ms:
            median = statistics.median(self.latencies_ms)
            worst = percentile(self.latencies_ms, 0.95)
            rows.append(("latency", f"{median:.0f} ms median, {worst:.0f} ms at 95 %"))
        return "\n".join(f"{name:<16}{value}" for name, value in rows)

    def _write(self, stamp_ns: int) -> None:
        entry = self._pending.pop(stamp_ns)
        try:
            frame = to_rgb(entry.image)
        except ImageMessageError as error:
            self.notes.append(f"the image stamped {seconds(stamp_ns)} s is left out: {error}")
            return
        tracks = self._tracks_of(stamp_ns, entry) if entry.detections is not None else []
        for track in tracks:
            self.states[track.state] += 1
            self._rows.writerow(self._row(stamp_ns, track, entry))
        self._file.flush()
        drawn = draw_tracks(frame, tracks, f"{self._written}")
        self._first_ns = stamp_ns if self._first_ns is None else self._first_ns
        self._video.write(drawn, None if self.fps else (stamp_ns - self._first_ns) / 1e9)
        self.notes += [note for note in self._video.notes if note not in self.notes]
        self._sheet.add(drawn)
        self._written += 1

    def _tracks_of(self, stamp_ns: int, entry: _Pending) -> list[Recorded]:
        """Seen targets with their boxes, unseen ones with their last box and their state."""
        seen = {d.id: d for d in entry.detections or []}
        for target_id, detection in seen.items():
            self._last_boxes[target_id] = detection_to_box(detection)
        current: dict[str, tuple[str, float]] = {}
        for change_ns, target_id, state, score in self._state_changes:
            if change_ns <= stamp_ns:
                current[target_id] = (state, score)
        tracks = []
        for target_id, box in self._last_boxes.items():
            state, score = current.get(target_id, ("tracking", 0.0))
            if target_id in seen:
                score = seen[target_id].results[0].hypothesis.score
            if state != "idle":
                tracks.append(Recorded(target_id, box, score, state))
        return tracks

    def _row(self, stamp_ns: int, track: Recorded, entry: _Pending) -> list[str]:
        seen = any(d.id == track.target_id for d in entry.detections or [])
        # A box that was not seen in this frame is left empty, never repeated.
        box = [f"{v:.2f}" for v in track.box_xywh] if seen else [""] * 4
        score = f"{track.score:.4f}" if seen else ""
        stamp = seconds(stamp_ns)
        latency = f"{entry.latency_ms:.1f}"
        return [str(self._written), stamp, track.target_id, *box, score, track.state, latency]


def seconds(stamp_ns: int) -> str:
    """A stamp in seconds with all its digits."""
    return f"{stamp_ns // 1_000_000_000}.{stamp_ns % 1_000_000_000:09d}"
