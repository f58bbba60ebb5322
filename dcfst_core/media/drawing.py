"""Drawing on frames: box, score and state of a track; a contact sheet of many frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import cv2
import numpy as np

from dcfst_core.boxes import BoxXYWH
from dcfst_core.errors import FrameError
from dcfst_core.media.frames import Frame

Colour = tuple[int, int, int]

# RGB; readable on dark and bright images and apart for colour-blind eyes (Okabe and Ito).
STATE_COLOURS: dict[str, Colour] = {
    "tracking": (0, 220, 120),
    "uncertain": (230, 159, 0),
    "lost": (240, 60, 40),
    "idle": (170, 170, 170),
}
TRUTH_COLOUR: Colour = (255, 255, 255)


class TrackLike(Protocol):
    """What is drawn: a `dcfst_core.Track` or anything with the same four attributes."""

    @property
    def target_id(self) -> str: ...
    @property
    def box_xywh(self) -> BoxXYWH: ...
    @property
    def score(self) -> float: ...
    @property
    def state(self) -> str: ...


def draw_box(
    frame_rgb: Frame, box_xywh: BoxXYWH, colour: Colour, label: str = "", dashed: bool = False
) -> None:
    """Draw one box (x, y, w, h in pixels) in place, with a label above it.

    A box partly or wholly outside the frame is drawn as far as it is visible; one that is not
    finite is left out.
    """
    if not all(math.isfinite(v) for v in box_xywh):
        return
    scale = _scale(frame_rgb)
    # Pixel i covers [i, i + 1): a line at continuous x lies on pixel floor(x).
    x0, y0 = _pixel(box_xywh[0]), _pixel(box_xywh[1])
    x1, y1 = _pixel(box_xywh[0] + box_xywh[2]), _pixel(box_xywh[1] + box_xywh[3])
    thickness = max(1, round(2 * scale))
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
        if dashed:
            _dashed_line(frame_rgb, start, end, colour, thickness)
        else:
            cv2.line(frame_rgb, start, end, colour, thickness)
    if label:
        draw_label(frame_rgb, label, (x0, y0), colour)


def draw_label(frame_rgb: Frame, text: str, anchor: tuple[int, int], colour: Colour) -> None:
    """Write text in place on a filled strip above `anchor` (x, y), kept inside the frame."""
    scale = 0.5 * _scale(frame_rgb)
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    frame_height, frame_width = frame_rgb.shape[:2]
    x = min(max(anchor[0], 0), max(frame_width - width - 4, 0))
    y = min(max(anchor[1] - 3, height + base), frame_height - 1)
    cv2.rectangle(frame_rgb, (x, y - height - base), (x + width + 4, y), colour, cv2.FILLED)
    dark_text = sum(colour) > 300
    ink = (0, 0, 0) if dark_text else (255, 255, 255)
    place = (x + 2, y - base // 2 - 1)
    cv2.putText(frame_rgb, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)


def draw_tracks(frame_rgb: Frame, tracks: Iterable[TrackLike], note: str = "") -> Frame:
    """Return a copy of an RGB frame (uint8, H x W x 3) with any number of tracks drawn on it.

    The colour tells the state; a lost target's last known box is dashed. `note` (a frame number,
    say) is written in the lower left corner.
    """
    if frame_rgb.dtype != np.uint8 or frame_rgb.ndim != 3 or frame_rgb.shape[2] != 3:
        raise FrameError(
            f"expected a uint8 RGB frame of shape (H, W, 3); got {frame_rgb.dtype} "
            f"{frame_rgb.shape}"
        )
    canvas = np.ascontiguousarray(frame_rgb).copy()
    tracks = list(tracks)
    for track in tracks:
        state = str(getattr(track.state, "value", track.state))
        name = f"{track.target_id} " if len(tracks) > 1 else ""
        colour = STATE_COLOURS.get(state, STATE_COLOURS["idle"])
        label = f"{name}{state} {track.score:.2f}"
        draw_box(canvas, track.box_xywh, colour, label, dashed=state == "lost")
    if note:
        draw_label(canvas, note, (0, canvas.shape[0]), (40, 40, 40))
    return canvas


def contact_sheet(
    frames_rgb: Sequence[Frame],
    captions: Sequence[str] | None = None,
    columns: int = 4,
    cell_width: int = 320,
    gap: int = 6,
) -> Frame:
    """Lay frames out row by row on one page.

    All cells have the first frame's shape scaled to `cell_width` pixels; a frame of another shape
    is fitted into its cell. `captions`: one for each frame, or None. ValueError without frames.
    """
    if not len(frames_rgb):
        raise ValueError("expected at least one frame for a contact sheet; got none")
    if captions is not None and len(captions) != len(frames_rgb):
        raise ValueError(f"expected {len(frames_rgb)} captions, one a frame; got {len(captions)}")
    height, width = frames_rgb[0].shape[:2]
    cell_height = max(1, round(cell_width * height / width))
    columns = min(columns, len(frames_rgb))
    rows = math.ceil(len(frames_rgb) / columns)
    page_shape = (rows * (cell_height + gap) + gap, columns * (cell_width + gap) + gap, 3)
    page = np.full(page_shape, 245, dtype=np.uint8)
    for index, frame in enumerate(frames_rgb):
        cell = _fit(frame, cell_width, cell_height)
        if captions is not None:
            draw_label(cell, captions[index], (0, cell_height), (40, 40, 40))
        y = gap + index // columns * (cell_height + gap)
        x = gap + index % columns * (cell_width + gap)
        page[y : y + cell_height, x : x + cell_width] = cell
    return page


def spread_indices(total: int, wanted: int) -> list[int]:
    """Return at most `wanted` indices spread evenly over 0 .. total - 1, both ends included."""
    if total <= 0:
        return []
    return sorted({round(i) for i in np.linspace(0, total - 1, min(total, wanted))})


def _fit(frame_rgb: Frame, width: int, height: int) -> Frame:
    """Scale a frame into a cell without changing its aspect ratio; the rest stays grey."""
    scale = min(width / frame_rgb.shape[1], height / frame_rgb.shape[0])
    size = (max(1, round(frame_rgb.shape[1] * scale)), max(1, round(frame_rgb.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(frame_rgb, size, interpolation=method)
    cell = np.full((height, width, 3), 128, dtype=np.uint8)
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    cell[y : y + size[1], x : x + size[0]] = resized
    return cell


def _dashed_line(
    frame_rgb: Frame, start: tuple[int, int], end: tuple[int, int], colour: Colour, thickness: int
) -> None:
    a, b = np.array(start, dtype=np.float64), np.array(end, dtype=np.float64)
    length = float(np.hypot(*(b - a)))
    dash = max(4.0, 4.0 * thickness)
    for begin in np.arange(0, length, 2 * dash):
        p, q = (a + (b - a) * min(t, length) / length for t in (begin, begin + dash))
        cv2.line(frame_rgb, (int(p[0]), int(p[1])), (int(q[0]), int(q[1])), colour, thickness)


def _scale(frame_rgb: Frame) -> float:
    """Size of lines and letters, so that they read alike on small and large frames."""
    return float(np.clip(max(frame_rgb.shape[:2]) / 640, 0.6, 3.0))


def _pixel(value: float) -> int:
    # Drawing functions take 32-bit integers; a box may lie anywhere.
    return int(np.clip(math.floor(value), -32000, 32000))
