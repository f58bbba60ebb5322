"""UAV123's layout: many sequences are parts of one recording, named in the set's configSeqs.m."""

from __future__ import annotations

import re
from pathlib import Path

from dcfst_core.evaluation.sequences import (
    AnnotatedSequence,
    DatasetError,
    Loaded,
    attribute_names,
    collect,
    list_images,
    read_boxes,
)

UAV123_ATTRIBUTES = (
    *("SV", "ARC", "LR", "FM", "FOC", "POC"),
    *("OV", "BC", "IV", "VC", "CM", "SOB"),
)


def load_uav123(root: Path) -> Loaded:
    """UAV123, UAV123_10fps, UAV20L: `anno/<set>/<seq>.txt`, `data_seq/<set>/<folder>/*.jpg`.

    Sequences that are parts of one recording (`car1_1`) need the start and end frames of the
    `configSeqs.m` that comes with the set. Attributes come from `anno/<set>/att/<seq>.txt`.
    """
    ranges = _uav123_ranges(root)

    def load(path: Path) -> AnnotatedSequence:
        boxes = read_boxes(path, origin=1)
        folder, first, last = ranges.get(path.stem, (path.stem, None, None))
        frames = list_images(_uav123_folder(root, path.parent.name, folder))
        if first is not None and last is not None:
            frames = frames[first - 1 : last]
        elif len(frames) != len(boxes):
            raise DatasetError(
                f"{path.stem}: {len(frames)} images but {len(boxes)} boxes; put the set's "
                f"configSeqs.m, which names the start and end frames, into {root}"
            )
        flags = path.parent / "att" / path.name
        attributes = attribute_names(flags, UAV123_ATTRIBUTES)
        return AnnotatedSequence(path.stem, frames, boxes, attributes, path.parent.name, origin=1)

    return collect(root.glob("anno/*/*.txt"), load)


def _uav123_ranges(root: Path) -> dict[str, tuple[str, int, int]]:
    """Read image folder, first and last frame of each sequence from the set's configSeqs.m."""
    entry = re.compile(
        r"'name'\s*,\s*'(?P<name>[^']+)'\s*,\s*'path'\s*,\s*'(?P<path>[^']+)'\s*,\s*"
        r"'startFrame'\s*,\s*(?P<first>\d+)\s*,\s*'endFrame'\s*,\s*(?P<last>\d+)"
    )
    found = {}
    for file in [*root.glob("configSeqs.m"), *root.glob("*/configSeqs.m")]:
        for match in entry.finditer(file.read_text(errors="replace")):
            folder = re.split(r"[\\/]", match["path"].rstrip("\\/"))[-1]
            found[match["name"]] = (folder, int(match["first"]), int(match["last"]))
    return found


def _uav123_folder(root: Path, subset: str, folder: str) -> Path:
    # UAV20L's images lie among UAV123's.
    for place in (root / "data_seq" / subset, root / "data_seq" / "UAV123", root / "data_seq"):
        if (place / folder).is_dir():
            return place / folder
    return root / "data_seq" / subset / folder
