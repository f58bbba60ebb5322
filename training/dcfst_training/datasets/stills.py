"""Still images with boxes: `<set>/images/*` and `<set>/boxes.json`; each object is a clip of one.

`boxes.json`: a list of {file, width, height, objects: [{label, box: [x, y, w, h]}]}. A mask in
`<set>/masks/<file's name>.png` has each object's number, counted from 1, in its pixels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcfst_training.datasets.clips import MALFORMED, Clip, ClipList, DatasetLayoutError


def can_be_target(
    wh: ArrayLike, image_area: ArrayLike, min_side: float = 14.0, max_aspect: float = 6.0
) -> NDArray[np.bool_]:
    """Which boxes (..., 2) of width and height in pixels can serve as tracking targets (...).

    Not those with a side under `min_side` pixels, longer than `max_aspect` times their width or
    height, or larger than half of the image.
    """
    sides = np.asarray(wh, dtype=np.float64)
    shortest, longest = sides.min(axis=-1), sides.max(axis=-1)
    small_enough = sides.prod(axis=-1) <= np.asarray(image_area) / 2
    return (shortest >= min_side) & (longest <= max_aspect * shortest) & small_enough


def BoxStills(root: str | Path, min_side: float = 14.0, max_aspect: float = 6.0) -> ClipList:
    """The objects of one set that `can_be_target`. Raises DatasetLayoutError."""
    root = Path(root)
    try:
        images = json.loads((root / "boxes.json").read_text())
        clips = _clips(root, images, min_side, max_aspect)
    except (OSError, *MALFORMED) as error:
        raise DatasetLayoutError(
            f"expected a readable boxes.json in {root}; {type(error).__name__}: {error}"
        ) from error
    return ClipList(root.name, tuple(clips))


def _clips(root: Path, images: Any, min_side: float, max_aspect: float) -> list[Clip]:
    clips = []
    for image in images:
        path = root / "images" / image["file"]
        area = image["width"] * image["height"]
        mask = root / "masks" / f"{path.stem}.png"
        masked = mask.is_file()
        for number, thing in enumerate(image["objects"]):
            if can_be_target(thing["box"][2:], area, min_side, max_aspect):
                box = np.array([thing["box"]], dtype=np.float64)
                name = f"{root.name}/{path.stem}#{number}"
                own = (mask, number + 1) if masked else None
                clips.append(Clip(name, (path,), box, mask=own))
    return clips
