"""Videos with masks as in DAVIS and YouTube-VOS: `JPEGImages/` and `Annotations/`.

Each object of a video becomes a clip; its box in a frame is the bounding box of its mask.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dcfst_core.media.video import natural_key
from dcfst_training.datasets.clips import Clip, ClipList, DatasetLayoutError
from dcfst_training.datasets.layouts import wrong_layout

VOID = 255
Boxes = dict[int, list[float]]
"""Box xywh of each object in one frame."""


def MaskVideos(root: str | Path, cache: str | Path | None = None) -> ClipList:
    """The objects of all videos with masks below a folder.

    `root`: holds `JPEGImages/[480p/]<video>/*.jpg` and `Annotations/[480p/]<video>/*.png`, or
    holds `train/` which does. Grey masks have one object (any value but 0), palette masks one for
    each index but 0 and 255 (void). Frames without a mask are left out, as YouTube-VOS has masks
    on every fifth. `cache`: JSON file that keeps the boxes, because decoding all masks takes
    minutes; None takes `dcfst_boxes.json` in the root where that can be written. Raises
    DatasetLayoutError.
    """
    root = Path(root)
    base = root / "train" if (root / "train" / "Annotations").is_dir() else root
    frames, masks = _resolution(base / "JPEGImages"), _resolution(base / "Annotations")
    files = sorted(masks.glob("*/*.png"), key=lambda path: natural_key(str(path)))
    if not files or not frames.is_dir():
        raise wrong_layout(
            root, "masks", "JPEGImages/[480p/]<video>/*.jpg and Annotations/[480p/]<video>/*.png"
        )
    boxes = _read_all(files, masks, Path(cache) if cache else base / "dcfst_boxes.json")
    videos: dict[str, list[str]] = {}
    for key in boxes:
        videos.setdefault(key.split("/")[0], []).append(key)
    clips = [clip for keys in videos.values() for clip in _objects(frames, keys, boxes)]
    if not clips:
        raise DatasetLayoutError(f"expected masks of objects in {masks}; all are empty")
    return ClipList("masks", tuple(clips))


def mask_boxes(path: Path) -> Boxes:
    """The boxes of the objects in one mask image; raises DatasetLayoutError."""
    from PIL import Image  # OpenCV does not give a palette's indices

    try:
        with Image.open(path) as image:
            indexed = image.mode == "P"
            mask = np.array(image if image.mode in "PL1" else image.convert("L"))
    except OSError as error:
        raise DatasetLayoutError(f"expected a mask image in {path}; {error}") from error
    if not indexed:
        return {1: _box(mask > 0)} if mask.any() else {}
    return {int(value): _box(mask == value) for value in np.unique(mask) if value not in (0, VOID)}


def _box(mask: NDArray[np.bool_]) -> list[float]:
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]


def _resolution(folder: Path) -> Path:
    """DAVIS has a folder for each resolution between its kind of file and the videos."""
    sizes = [folder / name for name in ("480p", "Full-Resolution", "1080p")]
    return next((place for place in sizes if place.is_dir()), folder)


def _read_all(files: list[Path], masks: Path, cache: Path) -> dict[str, Boxes]:
    """The boxes of every mask by `<video>/<frame>`, from the cache where it has them."""
    names = [f"{path.parent.name}/{path.stem}" for path in files]
    kept = _read_cache(cache)
    if kept.keys() >= set(names):
        return {name: kept[name] for name in names}
    boxes = {
        name: kept[name] if name in kept else mask_boxes(path)
        for name, path in zip(
            names, tqdm(files, desc=f"masks in {masks}", unit="mask"), strict=True
        )
    }
    try:
        cache.write_text(json.dumps(boxes))
    except OSError:
        pass  # a read-only data set: the masks are decoded again next time
    return boxes


def _read_cache(cache: Path) -> dict[str, Boxes]:
    try:
        content = json.loads(cache.read_text())
        return {
            name: {int(number): box for number, box in boxes.items()}
            for name, boxes in content.items()
        }
    except (OSError, ValueError, AttributeError):
        return {}  # none yet, or cut short: decode the masks


def _objects(frames: Path, keys: list[str], boxes: dict[str, Boxes]) -> list[Clip]:
    """The clips of one video."""
    numbers = sorted({number for key in keys for number in boxes[key]})
    paths = tuple(frames / f"{key}.jpg" for key in keys)
    nothing = [np.nan] * 4
    return [
        Clip(
            f"masks/{keys[0].split('/')[0]}#{number}",
            paths,
            np.array([boxes[key].get(number, nothing) for key in keys], dtype=np.float64),
        )
        for number in numbers
    ]
