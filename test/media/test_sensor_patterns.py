"""Compressed images that hold a sensor's raw pattern."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")

from dcfst_core.media.bags import message_types
from dcfst_core.media.image_messages import to_rgb

TYPES = message_types()
BAYER = {
    "rggb": (slice(0, None, 2), slice(0, None, 2)),
    "bggr": (slice(1, None, 2), slice(1, None, 2)),
    "grbg": (slice(0, None, 2), slice(1, None, 2)),
    "gbrg": (slice(1, None, 2), slice(0, None, 2)),
}


@pytest.mark.parametrize("pattern", BAYER)
@pytest.mark.parametrize(
    ("bits", "suffix", "words"),
    [(8, ".png", "8; png compressed "), (8, ".jpg", "8; jpeg compressed "),
     (16, ".png", "16; png compressed mono16"), (8, ".png", "8")],
)  # fmt: skip
def test_a_compressed_sensor_pattern_comes_out_in_colour(
    pattern: str, bits: int, suffix: str, words: str
) -> None:
    """A red scene lights the red pixels of the pattern alone."""
    raw = np.zeros((64, 64), np.uint8 if bits == 8 else np.uint16)
    raw[BAYER[pattern]] = 200 if bits == 8 else 200 * 257
    data = cv2.imencode(suffix, raw, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].reshape(-1)
    kind = TYPES.types["sensor_msgs/msg/CompressedImage"]
    header = TYPES.types["std_msgs/msg/Header"](
        TYPES.types["builtin_interfaces/msg/Time"](0, 0), ""
    )
    frame = to_rgb(kind(header, f"bayer_{pattern}{words}", data))
    red, green, blue = frame[8:-8, 8:-8].reshape(-1, 3).mean(axis=0)
    assert red > 150 and green < 30 and blue < 30
    grey = to_rgb(kind(header, "mono8; png compressed ", data))
    assert np.ptp(grey.astype(int), axis=2).max() == 0
