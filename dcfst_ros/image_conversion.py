"""Image messages to RGB: with cv_bridge where it works, with the library's own code elsewhere.

ROS users know cv_bridge. It is compiled for one NumPy, and taken under another it can end the
whole process; so it is tried in a process of its own first. Both give the same pixels: what they
do differently (padded rows, 16-bit Bayer patterns) is left to the library's own code.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dcfst_core.media.frames import Frame
from dcfst_core.media.image_messages import ENCODINGS, to_rgb

Convert = Callable[[Any], Frame]
CHOICES = ("auto", "cv_bridge", "builtin")
PROBE_TIMEOUT_S = 60.0
PROBE = "import sys; from dcfst_ros import image_conversion; sys.exit(image_conversion.probe())"

convert_builtin: Convert = to_rgb


class ConversionError(RuntimeError):
    """cv_bridge was asked for and cannot be used, with the reason."""


@dataclass(frozen=True)
class Conversion:
    """What converts the images, and why this: `cv_bridge` or `builtin`."""

    name: str
    why: str
    convert: Convert

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"


def choose_conversion(wanted: str) -> Conversion:
    """The conversion for `image_conversion`; auto takes cv_bridge where it works.

    Raises ConversionError when cv_bridge is asked for and does not work here.
    """
    if wanted == "builtin":
        return Conversion("builtin", "as image_conversion says", convert_builtin)
    fault = fault_of_cv_bridge()
    if not fault:
        return Conversion("cv_bridge", f"works with NumPy {np.__version__}", with_cv_bridge())
    if wanted == "cv_bridge":
        raise ConversionError(
            f"image_conversion: expected a working cv_bridge for {sys.executable}, but {fault}. "
            "Use auto or builtin: they give the same pixels"
        )
    return Conversion("builtin", fault, convert_builtin)


def fault_of_cv_bridge() -> str:
    """Why cv_bridge cannot be used here; empty when it can."""
    if importlib.util.find_spec("cv_bridge") is None:
        return "cv_bridge is not installed"
    command = [sys.executable, "-c", PROBE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"cv_bridge did not answer within {PROBE_TIMEOUT_S:.0f} s"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
    return f"cv_bridge fails with NumPy {np.__version__}: {lines[-1]}"


def probe() -> int:
    """Convert one small image with cv_bridge; raises where that fails, 0 where it is right."""
    from types import SimpleNamespace

    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    message = SimpleNamespace(
        height=2, width=4, encoding="bgr8", step=12, is_bigendian=0, data=pixels.tobytes()
    )
    rgb = with_cv_bridge(fall_back=False)(message)
    if not np.array_equal(rgb, pixels[..., ::-1]):
        raise AssertionError("cv_bridge gives other pixels than it was given")
    return 0


def with_cv_bridge(fall_back: bool = True) -> Convert:
    """A conversion by cv_bridge.

    `fall_back`: what cv_bridge does not know goes to the library's own code, as do messages that
    contradict themselves: that says what is wrong with them.
    """
    from cv_bridge import CvBridge

    bridge = CvBridge()

    def convert(message: Any) -> Frame:
        if not hasattr(message, "encoding") or not _is_plain(message):
            return to_rgb(message)
        try:
            rgb = bridge.imgmsg_to_cv2(message, "rgb8")
        except Exception:
            # It raises whatever comes from Boost, OpenCV or NumPy.
            if not fall_back:
                raise
            return to_rgb(message)
        # The message owns its bytes and may be reused; the copy is the frame everyone keeps.
        return np.array(rgb, dtype=np.uint8, order="C")

    return convert


def _is_plain(message: Any) -> bool:
    """Whether cv_bridge reads the message as its sizes say.

    Some versions take padding for pixels; all of them read garbage where the data is too short.
    16-bit mosaics are rounded before or after demosaicing, which differs by one.
    """
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None or min(message.width, message.height) < 1:
        return False
    if message.encoding.startswith("bayer_") and encoding.bits == 16:
        return False
    row_bytes = message.width * encoding.channels * encoding.bits // 8
    rows = int(message.height * encoding.rows_per_line)
    return message.step == row_bytes and len(message.data) >= row_bytes * rows
