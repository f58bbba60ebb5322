"""How large an input may be, asked before memory is given to it.

A picture of a few kilobytes can name a size that takes gigabytes. What a camera, a bag or a folder
delivers is not under the robot's control, so its own word on its size is checked first.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

# 8192 x 8192, 200 MB as RGB.
MOST_PIXELS = 2**26
MOST_IMAGE_BYTES = 2**30
# Annotations, settings, descriptions: what people write, or programs line by line.
MOST_TEXT_BYTES = 2**26
# Recorders close a chunk after about a megabyte, or one message.
MOST_CHUNK_BYTES = 2**30


def image_fault(source: Path | BinaryIO) -> str | None:
    """What keeps an encoded image (JPEG, PNG, WebP, ...) from being decoded; None if nothing does.

    Only its header is read.
    """
    from PIL import Image  # a node whose images come raw does without

    try:
        with Image.open(source) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        return f"has more than {MOST_PIXELS} pixels"
    except Exception:  # Pillow's readers raise what they like on damaged data
        return "cannot be decoded as one"
    if width * height > MOST_PIXELS:
        return f"has {width} x {height} pixels, more than {MOST_PIXELS}"
    return None


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a file; OSError where there are more than `most`.

    Also of a pipe or a device, which have no size to ask for.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(most + 1) if size <= most else b""
    if size > most or len(data) > most:
        raise OSError(f"{path} is larger than {most >> 20} MiB")
    return data
