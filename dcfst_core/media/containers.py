"""What FFmpeg does not tell about a container: is the file cut off, and what is it coded as?"""

from __future__ import annotations

import re
from pathlib import Path

import av

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_LOOKED_AT = 1 << 20
_ATTACHED_PICTURE = 1 << 10
# Where AVI, Matroska and MP4 name the coding of a video stream.
_NAMES = (
    re.compile(rb"strh.{4}vids(.{4})", re.DOTALL),
    re.compile(rb"\x86[\x81-\xff](V_[A-Z0-9/_.]+)"),
    re.compile(rb"stsd.{12}(\w{4})", re.DOTALL),
)


def is_cut_off(path: Path) -> bool:
    """Whether a Matroska or WebM file ends before the size that it gives itself."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.startswith(_EBML):
        return False
    size, end = _element_size(head, 4)
    start = end + (size or 0)
    if size is None or head[start : start + 4] != _SEGMENT:
        return False
    size, end = _element_size(head, start + 4)
    return size is not None and end + size > path.stat().st_size


def coding_name(path: Path) -> str | None:
    """The name by which an AVI, Matroska or MP4 file calls its video's coding, if it has one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        data = file.read(_LOOKED_AT)
        file.seek(max(size - _LOOKED_AT, 0))
        data += file.read(_LOOKED_AT)
    found = [match[1] for pattern in _NAMES for match in pattern.finditer(data)]
    return found[0].decode("latin-1").strip("\0 ") if found else None


def has_pictures(stream: av.VideoStream) -> bool:
    """Whether a video stream is one, and not the cover of a recording."""
    return not int(stream.disposition) & _ATTACHED_PICTURE


def reason(error: av.FFmpegError) -> str:
    """Why FFmpeg failed, in words."""
    if isinstance(error, av.error.ExitError):
        return "no answer came in time"
    return str(error.strerror or error)


def _element_size(data: bytes, at: int) -> tuple[int | None, int]:
    """An EBML element's size, None where it is left open, and where its data begin."""
    width = 9 - data[at].bit_length() if data[at] else 9
    number = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    unknown = number == (1 << 7 * width) - 1
    return (None if unknown else number), at + width
