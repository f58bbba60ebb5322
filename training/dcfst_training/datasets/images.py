"""Decode image files, and notice those that are cut short: OpenCV fills what is missing with grey.

JPEG, PNG and WebP say where they end, so a file whose end is missing was not copied whole.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_TAIL = 4096  # some writers append a few bytes after the end mark


class UnreadableFrameError(RuntimeError):
    """A frame that cannot be decoded, or a clip whose annotation is damaged."""


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """An image file's content as RGB (H, W, 3); UnreadableFrameError, naming it, if damaged."""
    missing = _missing_end(data)
    if missing:
        raise UnreadableFrameError(
            f"expected an image in {name}; it is cut short: {missing} is missing after "
            f"{len(data)} bytes"
        )
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if image is None:
        raise UnreadableFrameError(f"expected an image in {name}; it cannot be decoded")
    return image


def _missing_end(data: bytes) -> str:
    """What is missing at the end of a JPEG, PNG or WebP file; empty for a whole one."""
    if data.startswith(b"\xff\xd8\xff"):
        return "" if b"\xff\xd9" in data[-_TAIL:] else "its end mark"
    if data.startswith(b"\x89PNG"):
        return "" if b"IEND" in data[-_TAIL:] else "its end mark"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        size = 8 + int.from_bytes(data[4:8], "little")
        return "" if len(data) >= size else f"the rest of {size} bytes"
    return ""
