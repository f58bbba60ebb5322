"""What the published layouts look like from outside, for messages about a wrong folder."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from dcfst_training.datasets.clips import DatasetLayoutError

# Flag, name and the files (any of them) by which a data set's root is known. The order matters:
# what is told apart by more files comes first.
LAYOUTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("trackingnet", "TrackingNet", ("TRAIN_*/anno/*.txt", "anno/*.txt")),
    ("lasot", "LaSOT", ("*/*/full_occlusion.txt", "*/full_occlusion.txt")),
    ("got10k", "GOT-10k", ("train/*/absence.label", "*/absence.label")),
    ("coco", "COCO", ("annotations/instances_*.json", "instances_*.json")),
    ("masks", "masks as in DAVIS", ("JPEGImages", "train/JPEGImages")),
    (
        "video_folders",
        "videos as in OTB",
        ("*/*/groundtruth_rect.txt", "*/*/*/groundtruth_rect.txt"),
    ),
    ("still_folders", "stills with boxes", ("*/boxes.json",)),
    ("shards", "packed shards", ("*.tar",)),
)


def wrong_layout(root: str | Path, flag: str, expected: str) -> DatasetLayoutError:
    """The error for a folder that does not hold what `flag` wants; `expected` says what that is.

    When the folder looks like another data set, or the right one lies a level higher or lower, the
    message says so.
    """
    root = Path(root)
    if not root.is_dir():
        return DatasetLayoutError(
            f"--data.{flag}: expected a folder at {root.absolute()}; there is none"
        )
    found = sorted(item.name for item in islice(root.iterdir(), 200))
    listing = ", ".join(found[:8]) + (", …" if len(found) > 8 else "") if found else "nothing"
    message = f"--data.{flag}: expected {expected} in {root.absolute()}; found {listing}"
    return DatasetLayoutError(message + _hint(root, flag))


def _hint(root: Path, flag: str) -> str:
    other = recognise(root)
    if other and other[0] != flag:
        return f". It looks like {other[1]}: use --data.{other[0]}"
    for place in (root.parent, *islice(filter(Path.is_dir, sorted(root.iterdir())), 20)):
        near = recognise(place)
        if near and near[0] == flag:
            return f". {place.absolute()} looks right: use that folder"
    return ""


def recognise(root: Path) -> tuple[str, str] | None:
    """Flag and name of the data set that a folder looks like, or None."""
    for flag, name, patterns in LAYOUTS:
        if any(next(root.glob(pattern), None) for pattern in patterns):
            return flag, name
    return None
