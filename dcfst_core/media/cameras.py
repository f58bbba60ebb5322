"""A camera, read through OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2
import numpy as np

from dcfst_core.media.frames import FrameSource, TimedFrame, VideoError


class Camera(FrameSource):
    """A camera by its index or its device file; times are those of reading."""

    def __init__(self, source: int | str) -> None:
        super().__init__(f"camera {source}")
        self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            raise VideoError(
                f"cannot open {self.name}: is it connected, free, and may this user read it "
                "(group `video` for /dev/video*)?"
            )
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps if 0 < fps < 1000 else None

    def close(self) -> None:
        self._capture.release()

    def _timed(self) -> Iterator[TimedFrame]:
        number, start_s = 0, 0.0
        while True:
            ok, image = self._capture.read()
            if not ok or image is None:
                break
            now_s = time.monotonic()
            start_s = start_s if number else now_s
            if number >= self.skipped:
                rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
                yield TimedFrame(rgb, number, now_s - start_s)
            number += 1
        self.missing = f"{self.name} stopped delivering frames after {number}"
