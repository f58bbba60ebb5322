"""A video's display matrix: how its stored pictures are turned and mirrored to be looked at."""

from __future__ import annotations

import math
from typing import Any

import av
import numpy as np

from dcfst_core.media.frames import Frame


class Orientation:
    """Stored pixels to upright ones: the eight ways to turn by quarters and mirror.

    The matrix maps the stored picture's right and down to the shown picture's (FFmpeg,
    `libavutil/display.h`). `odd_angle`: degrees of a turn that is not by quarters, and not done.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        self._transposed = self._flip_x = self._flip_y = False
        self.odd_angle: float | None = None
        data: Any = frame.side_data.get("DISPLAYMATRIX")
        if data is None:
            return
        a, b, _, c, d = (int(v) for v in np.frombuffer(bytes(data), np.int32)[:5])
        if b == c == 0 and a and d:
            self._flip_x, self._flip_y = a < 0, d < 0
        elif a == d == 0 and b and c:
            self._transposed, self._flip_x, self._flip_y = True, c < 0, b < 0
        else:
            self.odd_angle = math.degrees(math.atan2(b, a))

    def upright(self, rgb: Frame) -> Frame:
        """The picture as it is to be looked at; the same array when nothing is to be done."""
        if not (self._transposed or self._flip_x or self._flip_y):
            return rgb
        if self._transposed:
            rgb = rgb.swapaxes(0, 1)
        if self._flip_x:
            rgb = rgb[:, ::-1]
        if self._flip_y:
            rgb = rgb[::-1]
        return np.ascontiguousarray(rgb)
