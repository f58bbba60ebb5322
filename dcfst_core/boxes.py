"""Box formats: read, checked, clipped. Free of PyTorch, because light nodes use them too.

The pixel convention of the whole project, stated once: coordinates are continuous, pixel index i
covers [i, i + 1), its centre is i + 0.5, and an image of width W spans [0, W]. A box `xywh` has
its left, top edge at (x, y); a box `xyxy` spans [x0, x1] x [y0, y1]; `cxcywh` is centre and size.
(OTB's published files are 1-based: subtract 1 from x and y.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dcfst_core.errors import BoxError

BoxXYWH = tuple[float, float, float, float]

LEAST_SIDE = 2.0
# Far more than any camera has; beyond about 1e18 sizes no longer fit where PyTorch counts pixels.
MOST_SIDE = 1e6


def parse_box(text: str) -> tuple[float, float, float, float]:
    """Read `x,y,w,h`; BoxError where it is not four numbers.

    Whether it can be tracked (finite, positive, on the image) is for the tracker to say.
    """
    try:
        x, y, w, h = (float(v) for v in text.replace(";", ",").split(","))
    except ValueError:
        raise BoxError(
            f"expected a box as x,y,w,h (left, top, width, height in pixels), "
            f"e.g. 120,80,64,48; got {text!r}"
        ) from None
    return (x, y, w, h)


def check_box(box_xywh: Sequence[float], frame_width: int, frame_height: int) -> BoxXYWH:
    """Return the box as four floats, or raise BoxError saying what is wrong with it.

    A box may reach over the image border (a target half outside), but must overlap the image, be
    finite and from `LEAST_SIDE` to `MOST_SIDE` pixels wide and high. `box_xywh`: 4 numbers in
    pixels.
    """
    try:
        x, y, w, h = (float(value) for value in box_xywh)
    except (TypeError, ValueError):
        raise BoxError(f"expected a box of 4 numbers x, y, w, h; got {box_xywh!r}") from None
    shown = f"({x:g}, {y:g}, {w:g}, {h:g})"
    if not all(math.isfinite(value) for value in (x, y, w, h)):
        raise BoxError(f"expected a box x, y, w, h of finite numbers; got {shown}")
    if w <= 0 or h <= 0:
        raise BoxError(f"expected a box with positive width and height; got x, y, w, h = {shown}")
    if w < LEAST_SIDE or h < LEAST_SIDE:
        raise BoxError(
            f"expected a box of at least {LEAST_SIDE:g} pixels a side, there is nothing to see in "
            f"less; got x, y, w, h = {shown}"
        )
    if max(w, h) > MOST_SIDE:
        raise BoxError(
            f"expected a box of at most {MOST_SIDE:,.0f} pixels a side; got x, y, w, h = {shown}"
        )
    if x >= frame_width or y >= frame_height or x + w <= 0 or y + h <= 0:
        raise BoxError(
            f"expected a box that overlaps the {frame_width}x{frame_height} image; "
            f"x, y, w, h = {shown} lies outside of it"
        )
    return (x, y, w, h)


def clip_box(box_xywh: BoxXYWH, frame_width: int, frame_height: int, margin: float) -> BoxXYWH:
    """Keep at least `margin` pixels (or the whole box, if smaller) of a box inside the image.

    The centre moves; the size stays, so a target that leaves the image keeps its size.
    """
    x, y, w, h = box_xywh
    margin_x, margin_y = min(margin, w), min(margin, h)
    x = min(max(x, margin_x - w), frame_width - margin_x)
    y = min(max(y, margin_y - h), frame_height - margin_y)
    return (x, y, w, h)
