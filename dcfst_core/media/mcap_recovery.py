"""Reading an mcap recording that was cut off or lacks its index, by way of what is intact in it.

The records are those of the mcap specification (https://mcap.dev/spec).
"""

from __future__ import annotations

import io
import struct
import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

from lz4.frame import LZ4FrameDecompressor
from lz4.frame import get_frame_info as lz4_frame_info

from dcfst_core.media.limits import MOST_CHUNK_BYTES

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _CHUNK_INDEX, _DATA_END = (
    *(0x01, 0x02, 0x03, 0x04, 0x05, 0x06),
    *(0x08, 0x0F),
)
# An end without a summary: a reader has to look through the records, and does.
_END = (
    bytes([_DATA_END])
    + struct.pack("<QI", 4, 0)
    + bytes([_FOOTER])
    + struct.pack("<QQQI", 20, 0, 0, 0)
    + MAGIC
)


@dataclass(frozen=True)
class _Record:
    code: int
    start: int
    end: int
    """Behind its last byte, which may lie behind the file's."""


def has_whole_index(path: Path) -> bool:
    """Whether every chunk of an mcap file is in its index, or it has neither.

    False too where a chunk would unpack to more than it says or than is sound: rosbags unpacks
    without a bound, `RecoveredMcap` with one.
    """
    with path.open("rb") as file:
        records = list(_records(file, path.stat().st_size))
        if any(_swells(file, record) for record in records if record.code == _CHUNK):
            return False
    codes = [record.code for record in records]
    return codes.count(_CHUNK_INDEX) in (0, codes.count(_CHUNK))


@dataclass
class RecoveredMcap:
    """A path in the eyes of rosbags, that leads to the intact records of an mcap file.

    Nothing is copied: a reader gets the parts of the file that are sound, and an end. lost: what
    is not, in words; empty when only the index was missing.
    """

    path: Path
    lost: str = ""
    _parts: list[tuple[int, int] | bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        size = self.path.stat().st_size
        damaged, end = 0, len(MAGIC)
        with self.path.open("rb") as file:
            self._parts = [MAGIC]
            for record in _records(file, size):
                if record.code in (_DATA_END, _FOOTER):
                    end = size
                    break
                end = min(record.end, size)
                if record.code == _CHUNK:
                    damaged += not self._take_chunk(file, record, size)
                elif record.code <= _MESSAGE and record.end <= size:
                    self._parts.append((record.start, record.end))
        self._parts.append(_END)
        rest = size - end
        if damaged or rest > 0:
            self.lost = f"{damaged} damaged chunks and the last {rest} bytes"

    def _take_chunk(self, file: BinaryIO, record: _Record, size: int) -> bool:
        """Take a chunk as it is, or the messages that can be got out of it; is it whole?"""
        file.seek(record.start + 9)
        # A damaged length can be anything.
        data = file.read(min(record.end, size, record.start + MOST_CHUNK_BYTES) - record.start - 9)
        content, whole = _unpacked(data)
        if whole and record.end <= size:
            self._parts.append((record.start, record.end))
            return True
        for inner in _records(io.BytesIO(content), len(content), start=0):
            if inner.code in (_SCHEMA, _CHANNEL, _MESSAGE) and inner.end <= len(content):
                self._parts.append(content[inner.start : inner.end])
        return False

    # What rosbags asks of a path.
    def exists(self) -> bool:
        return True

    def is_dir(self) -> bool:
        return False

    @property
    def suffix(self) -> str:
        return ".mcap"

    def open(self, mode: str = "rb") -> io.BufferedReader:
        return io.BufferedReader(_Joined(self.path, self._parts), 1 << 20)


class _Joined(io.RawIOBase):
    """Parts of a file, and bytes between them, as one file."""

    def __init__(self, path: Path, parts: list[tuple[int, int] | bytes]) -> None:
        self._file, self._parts = path.open("rb"), parts
        self._starts, length = [], 0
        for part in parts:
            self._starts.append(length)
            length += len(part) if isinstance(part, bytes) else part[1] - part[0]
        self._length, self._at = length, 0

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(offset + (0, self._at, self._length)[whence], 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._length:
            return 0
        index = bisect_right(self._starts, self._at) - 1
        part, offset = self._parts[index], self._at - self._starts[index]
        if isinstance(part, bytes):
            data = part[offset : offset + len(buffer)]
        else:
            self._file.seek(part[0] + offset)
            data = self._file.read(min(len(buffer), part[1] - part[0] - offset))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _records(file: BinaryIO, size: int, start: int = len(MAGIC)) -> Iterator[_Record]:
    """The records one after the other, as far as they can be told apart."""
    at = start
    while at + 9 <= size:
        file.seek(at)
        code, length = struct.unpack("<BQ", file.read(9))
        if code == 0 or _DATA_END < code < 0x80:
            return  # no record of the specification: the way is lost
        yield _Record(code, at, at + 9 + length)
        at += 9 + length


def _swells(file: BinaryIO, record: _Record) -> bool:
    file.seek(record.start + 9)
    head = file.read(128)
    try:
        _, _, length, _, width = struct.unpack_from("<QQQII", head)
        compression, data = head[32 : 32 + width], head[40 + width :]
        said = None
        if compression == b"zstd":
            said = zstd.get_frame_info(data).decompressed_size
        elif compression == b"lz4":
            said = lz4_frame_info(data)["content_size"]
    except (struct.error, zstd.ZstdError, RuntimeError):
        return False  # damaged: reading it tells more
    return length > MOST_CHUNK_BYTES or (said or 0) > length


def _unpacked(chunk: bytes) -> tuple[bytes, bool]:
    """A chunk's records as far as they can be unpacked, and whether they are all."""
    try:
        _, _, length, crc = struct.unpack_from("<QQQI", chunk)
        (width,) = struct.unpack_from("<I", chunk, 28)
        compression = chunk[32 : 32 + width]
        (packed,) = struct.unpack_from("<Q", chunk, 32 + width)
    except struct.error:
        return b"", False
    data = chunk[40 + width : 40 + width + packed]
    content = data
    if length > MOST_CHUNK_BYTES:
        return b"", False
    try:
        # One byte more than it says is enough to see that it says too little.
        if compression == b"zstd":
            content = zstd.ZstdDecompressor().decompress(data, max_length=length + 1)
        elif compression == b"lz4":
            content = LZ4FrameDecompressor().decompress(data, max_length=length + 1)
    except (zstd.ZstdError, RuntimeError):
        return b"", False
    return content, len(content) == length and crc in (0, crc32(content))
