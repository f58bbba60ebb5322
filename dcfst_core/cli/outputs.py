"""What the tracking commands write: a video, a CSV file, a contact sheet, and the last lines."""

from __future__ import annotations

import contextlib
import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from dcfst_core import Track
from dcfst_core.errors import DCFSTError
from dcfst_core.media.drawing import contact_sheet, draw_tracks, spread_indices
from dcfst_core.media.frames import Closing, Frame, TimedFrame
from dcfst_core.media.heatmap import draw_score_map
from dcfst_core.media.sinks import VideoWriter, write_image

COLUMNS = ("frame", "target", "x", "y", "w", "h", "score", "state", "ms", "time_s")
SHEET_FRAMES = 12


class TableError(DCFSTError, OSError):
    """A table that cannot be written, with its name and the reason."""


class TableFile(Closing):
    """A text file for rows; what was flushed is on the disk, and errors name the file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("w", newline="")

    def write(self, text: str) -> None:
        """Take a row; TableError when it cannot be written."""
        try:
            self._file.write(text)
        except OSError as error:
            raise self._error(error) from error

    def flush(self) -> None:
        """Write the rows taken; TableError when they cannot be written."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Let go of the file. Rows that could not be written were an error before."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _error(self, error: OSError) -> TableError:
        return TableError(f"cannot write to {self._path}: {error.strerror or error}")


@dataclass
class Outputs:
    """Where tracks go; every part is optional.

    Rows are complete at any moment; video and sheet are put in place at the end.
    """

    video: VideoWriter | None = None
    rows: TextIO | TableFile | None = None
    sheet: Path | None = None
    heatmaps: Path | None = None
    drawn: list[Frame] = field(default_factory=list)
    stride: int = 1
    added: int = 0

    def add(self, frame: TimedFrame, tracks: list[Track], ms: float) -> None:
        """Take the tracks of one frame."""
        if self.rows is not None:
            writer = csv.writer(self.rows, lineterminator="\n")
            time_s = "" if frame.time_s is None else f"{frame.time_s:.6f}"
            for track in tracks:
                box = [f"{v:.2f}" for v in track.box_xywh]
                score, state = f"{track.score:.4f}", track.state.value
                writer.writerow(
                    [frame.number, track.target_id, *box, score, state, f"{ms:.1f}", time_s]
                )
            self.rows.flush()
        if self.heatmaps is not None:
            drawn = frame.rgb
            for track in tracks:
                if track.score_map is not None:
                    drawn = draw_score_map(drawn, track.score_map)
            write_image(self.heatmaps / f"{frame.number:06d}.png", draw_tracks(drawn, tracks))
        wants_sheet = self.sheet is not None and self.added % self.stride == 0
        self.added += 1
        if self.video is not None or wants_sheet:
            drawn = draw_tracks(frame.rgb, tracks, f"{frame.number}")
            if self.video is not None:
                self.video.write(drawn, frame.time_s)
            if wants_sheet:
                self._keep(drawn)

    def _keep(self, drawn: Frame) -> None:
        """Keep frames for the sheet evenly, however long the video turns out to be."""
        self.drawn.append(drawn)
        if len(self.drawn) > 4 * SHEET_FRAMES:
            self.drawn = self.drawn[::2]
            self.stride *= 2

    def finish(self) -> list[str]:
        """Complete the video and write the contact sheet; what its user should hear of them."""
        if self.video is not None:
            self.video.close()
        if self.sheet is not None and self.drawn:
            chosen = [self.drawn[i] for i in spread_indices(len(self.drawn), SHEET_FRAMES)]
            write_image(self.sheet, contact_sheet(chosen))
        return self.video.notes if self.video is not None else []


@dataclass
class Summary:
    """Counts for the lines printed at the end."""

    times_ms: list[float] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)

    def add(self, tracks: list[Track], ms: float) -> None:
        """Count one frame."""
        self.times_ms.append(ms)
        self.states.update(track.state.value for track in tracks)

    def text(self, written: Sequence[str | Path | None]) -> str:
        """Counts, speed, and the files written (None: not asked for)."""
        updates = self.times_ms[1:]
        speed = f"{1e3 * len(updates) / sum(updates):.1f} FPS" if sum(updates) > 0 else "no update"
        states = ", ".join(f"{name} {count}" for name, count in self.states.most_common())
        lines = [f"{len(self.times_ms)} frames ({states}), {speed} in the tracker"]
        lines += [f"wrote {path}" for path in written if path]
        return "\n".join(lines)
