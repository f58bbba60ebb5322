"""Frames in and out: opening a file, folder, camera, pipe or stream; the names all users need."""

from __future__ import annotations

import os
import re
import select
import stat
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from dcfst_core.media.cameras import Camera
from dcfst_core.media.folders import IMAGE_SUFFIXES, ImageFolder, list_images
from dcfst_core.media.frames import (
    Closing,
    Frame,
    FrameSource,
    TimedFrame,
    VideoError,
    no_pyav,
    read_image,
)
from dcfst_core.media.naming import natural_key
from dcfst_core.media.sinks import VideoWriter

if TYPE_CHECKING:
    from dcfst_core.media.decoding import Video

__all__ = [
    "IMAGE_SUFFIXES",
    "Closing",
    "Frame",
    "FrameSource",
    "TimedFrame",
    "VideoError",
    "VideoWriter",
    "list_images",
    "natural_key",
    "open_frames",
    "read_image",
]

# A program on a pipe's other end gets this long to open it and write its first bytes.
PIPE_PATIENCE_S = 10.0


def open_frames(source: str | Path | int) -> FrameSource:
    """Open what holds frames.

    `source`: a video file, a folder of images, a camera's index (`0`) or device (`/dev/video0`), a
    pipe (`-` is standard input) or a stream's address (`rtsp://…`). VideoError says what was
    expected and what is there.
    """
    text = str(source)
    if not text:
        raise VideoError("expected a video file, an image folder, a camera or a stream; got none")
    if text.isascii() and text.isdigit() and not Path(text).exists():
        return Camera(int(text))
    if text == "-":
        return _video("pipe:0", name="standard input")
    address = re.match(r"([a-z][a-z0-9+.-]*)://", text, re.IGNORECASE)
    if address and address[1].lower() != "file":
        return _video(text)
    return _open_path(Path(unquote(urlsplit(text).path)) if address else Path(text))


def _video(address: str, path: Path | None = None, name: str | None = None) -> Video:
    # Folders, cameras and frames in memory do without FFmpeg's libraries.
    try:
        from dcfst_core.media.decoding import Video
    except ImportError as error:
        raise VideoError(no_pyav(error)) from error
    return Video(address, path, name)


def _open_path(path: Path) -> FrameSource:
    try:
        kind = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        link = " (a link that leads nowhere)" if path.is_symlink() else ""
        raise VideoError(
            f"expected a video file, an image folder, a camera or a stream address; "
            f"there is nothing at {path.absolute()}{link}"
        ) from None
    except (OSError, ValueError) as error:
        raise VideoError(f"cannot look at {path}: {error}") from None
    if stat.S_ISDIR(kind):
        return ImageFolder(path)
    if stat.S_ISCHR(kind):
        return _open_device(path)
    if stat.S_ISFIFO(kind):
        return _video(f"pipe:{_wait_for_writer(path)}", name=str(path))
    if not stat.S_ISREG(kind):
        what = "a socket" if stat.S_ISSOCK(kind) else "a block device"
        raise VideoError(f"expected a video file, a camera or a pipe; {path} is {what}")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise VideoError(f"expected a video or a folder of images; {path} is a single image")
    # An absolute path: FFmpeg would take `12:30.mp4` for an address.
    return _video(str(path.absolute()), path, name=str(path))


def _open_device(path: Path) -> FrameSource:
    target = path.resolve()
    if not re.fullmatch(r"/dev/video\d+", str(target)):
        raise VideoError(
            f"expected a camera such as /dev/video0; {path} is another kind of device"
        )
    return Camera(str(target))


def _wait_for_writer(path: Path) -> int:
    """A descriptor of a pipe that somebody writes to."""
    try:
        # Opened the usual way, a pipe without a writer would be waited for without end.
        pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise VideoError(f"cannot open the pipe {path}: {error.strerror}") from None
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    if not poll.poll(PIPE_PATIENCE_S * 1e3):
        os.close(pipe)
        raise VideoError(
            f"nothing was written into the pipe {path} within {PIPE_PATIENCE_S:.0f} s"
        )
    os.set_blocking(pipe, True)
    return pipe
