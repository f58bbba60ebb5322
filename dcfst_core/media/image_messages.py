"""Image messages to RGB frames and back; no ROS needed, so it works on bags too.

Works on anything with the fields of sensor_msgs: rclpy's classes as well as those of `rosbags`.
OpenCV does the colour conversions (as it does in cv_bridge), so no compiled bridge is needed, and
padding (`step`), byte order and short data are checked here where the message can be explained.
"""

from __future__ import annotations

import io
import re
from array import array
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dcfst_core.errors import DCFSTError, is_out_of_memory
from dcfst_core.media.frames import Frame
from dcfst_core.media.limits import image_fault


class ImageMessageError(DCFSTError, ValueError):
    """An image message that contradicts itself or that cannot be converted."""


@dataclass(frozen=True)
class Encoding:
    """How one encoding lies in memory, and OpenCV's conversion to RGB (None: it is RGB)."""

    bits: int
    channels: int
    to_rgb: int | None
    rows_per_line: float = 1.0


# ROS names a Bayer pattern by its first two pixels, OpenCV by the two pixels in the middle of the
# second row: ROS rggb is OpenCV BG.
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
ENCODINGS: dict[str, Encoding] = {
    **{
        f"{name}{bits}": Encoding(bits, channels, code)
        for bits in (8, 16)
        for name, channels, code in (
            ("rgb", 3, None),
            ("bgr", 3, cv2.COLOR_BGR2RGB),
            ("rgba", 4, cv2.COLOR_RGBA2RGB),
            ("bgra", 4, cv2.COLOR_BGRA2RGB),
            ("mono", 1, cv2.COLOR_GRAY2RGB),
        )
    },
    **{
        f"bayer_{pattern}{bits}": Encoding(bits, 1, code)
        for bits in (8, 16)
        for pattern, code in _BAYER.items()
    },
    "8UC1": Encoding(8, 1, cv2.COLOR_GRAY2RGB),
    "8UC3": Encoding(8, 3, cv2.COLOR_BGR2RGB),
    "8UC4": Encoding(8, 4, cv2.COLOR_BGRA2RGB),
    "16UC1": Encoding(16, 1, cv2.COLOR_GRAY2RGB),
    "yuv422": Encoding(8, 2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": Encoding(8, 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": Encoding(8, 2, cv2.COLOR_YUV2RGB_YUYV),
    "yuyv": Encoding(8, 2, cv2.COLOR_YUV2RGB_YUYV),
    "nv12": Encoding(8, 1, cv2.COLOR_YUV2RGB_NV12, rows_per_line=1.5),
    "nv21": Encoding(8, 1, cv2.COLOR_YUV2RGB_NV21, rows_per_line=1.5),
}


def image_to_rgb(message: Any) -> Frame:
    """Convert a sensor_msgs/Image to uint8 RGB (H, W, 3), contiguous and owned by the caller.

    16-bit values are scaled by 255 / 65535, grey is repeated three times, alpha is dropped.
    Raises ImageMessageError on an unknown encoding, a zero size, a `step` smaller than a row, or
    data shorter than the sizes say.
    """
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise ImageMessageError(
            f"encoding {message.encoding!r} is not supported; supported are "
            f"{', '.join(sorted(ENCODINGS))}"
        )
    pixels = _unpad(message, encoding)
    if encoding.bits == 16:
        pixels = np.asarray(cv2.convertScaleAbs(pixels, alpha=255.0 / 65535.0), dtype=np.uint8)
    if encoding.to_rgb is None:
        # The message owns its bytes and may be reused; the copy is the frame everyone keeps.
        return np.array(pixels, dtype=np.uint8, order="C")
    try:
        converted = cv2.cvtColor(np.ascontiguousarray(pixels), encoding.to_rgb)
    except cv2.error as error:
        if is_out_of_memory(error):
            raise
        raise ImageMessageError(
            f"expected sizes that {message.encoding} can have (even ones, where pixels share "
            f"their colour); got {message.width}x{message.height}"
        ) from error
    return np.asarray(converted, dtype=np.uint8)


def _unpad(message: Any, encoding: Encoding) -> NDArray[Any]:
    """View the message's bytes as (rows, columns[, channels]) in native byte order."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    if height < 1 or width < 1:
        raise ImageMessageError(f"expected a size of at least 1x1, got {width}x{height}")
    item = encoding.bits // 8
    row_bytes = width * encoding.channels * item
    rows = int(height * encoding.rows_per_line)
    if step < row_bytes:
        raise ImageMessageError(
            f"expected step >= {row_bytes} for {width} pixels of {message.encoding}, got {step}"
        )
    data = np.frombuffer(message.data, dtype=np.uint8)
    # Some drivers leave out the padding of the last row.
    needed = step * (rows - 1) + row_bytes
    if len(data) < needed:
        raise ImageMessageError(
            f"expected at least {needed} bytes for {width}x{height} {message.encoding} with step "
            f"{step}, got {len(data)}"
        )
    lines = np.lib.stride_tricks.as_strided(data, (rows, row_bytes), (step, 1), writeable=False)
    order = ">" if message.is_bigendian else "<"
    if item == 2:
        lines = np.ascontiguousarray(lines).view(f"{order}u2").astype(np.uint16, copy=False)
    shape = (rows, width) if encoding.channels == 1 else (rows, width, encoding.channels)
    return lines.reshape(shape)


def compressed_to_rgb(message: Any) -> Frame:
    """Decode a sensor_msgs/CompressedImage (JPEG, PNG, WebP, ...) to uint8 RGB (H, W, 3).

    A sensor's raw pattern that was compressed as a grey image, as `bayer_rggb8; png compressed`
    says, gets its colours. Raises ImageMessageError when the bytes are no image, are compressed
    depth, or would decode to more than `MOST_PIXELS`.
    """
    if "compressedDepth" in message.format:
        raise ImageMessageError(
            f"expected a compressed colour or grey image, got format {message.format!r}"
        )
    data = np.frombuffer(message.data, dtype=np.uint8)
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    fault = image_fault(io.BytesIO(data.tobytes())) if len(data) else "hold nothing"
    image = cv2.imdecode(data, flags) if fault is None else None
    if image is None:
        raise ImageMessageError(
            f"expected compressed image data, got {len(data)} bytes of format "
            f"{message.format!r} that do not decode ({fault or 'damaged'})"
        )
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=255.0 / 65535.0)
    to_rgb = cv2.COLOR_BGR2RGB
    if image.ndim == 2:
        pattern = re.match(r"\s*bayer_(\w{4})\d", message.format)
        to_rgb = _BAYER.get(pattern[1], cv2.COLOR_GRAY2RGB) if pattern else cv2.COLOR_GRAY2RGB
    return np.asarray(cv2.cvtColor(image, to_rgb), dtype=np.uint8)


def to_rgb(message: Any) -> Frame:
    """Convert an Image or a CompressedImage message to uint8 RGB (H, W, 3)."""
    return image_to_rgb(message) if hasattr(message, "encoding") else compressed_to_rgb(message)


def rgb_to_image(frame_rgb: Frame, message: Any) -> Any:
    """Fill an Image message's size, encoding and data from a uint8 RGB frame; returns it."""
    message.height, message.width = frame_rgb.shape[:2]
    message.encoding = "rgb8"
    message.is_bigendian = 0
    message.step = frame_rgb.shape[1] * 3
    # rclpy copies any other type than array.array element by element, 50 times slower.
    message.data = array("B")
    message.data.frombytes(np.ascontiguousarray(frame_rgb).data.cast("B"))
    return message


def stamp_to_ns(stamp: Any) -> int:
    """Nanoseconds of a builtin_interfaces/Time."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
