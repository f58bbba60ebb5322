"""GOT-10k: `train/<sequence>/00000001.jpg…`, `groundtruth.txt`, `absence.label`, `cover.label`."""

from __future__ import annotations

import logging
from pathlib import Path

from dcfst_core.evaluation.sequences import hide, read_boxes, read_flags
from dcfst_training.datasets.clips import Clip
from dcfst_training.datasets.layouts import wrong_layout
from dcfst_training.datasets.lazy import LazyClips, NumberedFrames

log = logging.getLogger(__name__)


class GOT10k(LazyClips[Path]):
    """The sequences of GOT-10k's training split (9,335 of them).

    `root`: the folder that holds `train/`, or `train/` itself. Boxes are 0-based pixels. A frame
    counts as absent where `absence.label` says so or where `cover.label` (0..8, how much of the
    target shows) is 0. Sequences that `list.txt` names but that are not there are reported; those
    that it does not name are left out. Raises DatasetLayoutError.
    """

    name = "got10k"

    def __init__(self, root: str | Path) -> None:
        root = Path(root)
        split = root / "train" if (root / "train").is_dir() else root
        present = {path.parent.name for path in split.glob("*/groundtruth.txt")}
        labelled = any(split.glob("*/absence.label"))
        if not present or not labelled:
            raise wrong_layout(
                root, "got10k", "[train/]<sequence>/groundtruth.txt with absence.label beside it"
            )
        super().__init__([split / name for name in self._wanted(split, present)])
        self.check_first()

    def _wanted(self, split: Path, present: set[str]) -> list[str]:
        listing = split / "list.txt"
        if not listing.is_file():
            return sorted(present)
        listed = listing.read_text().split()
        missing = [name for name in listed if name not in present]
        if len(missing) == len(listed):
            raise wrong_layout(split, "got10k", f"the sequences that {listing} names")
        if missing:
            log.warning(
                "%s of the %s sequences that %s names are not there (first: %s); going on without",
                *(len(missing), len(listed), listing, missing[0]),
            )
        return [name for name in listed if name in present]

    def name_of(self, entry: Path) -> str:
        """`got10k/<sequence>`."""
        return f"{self.name}/{entry.name}"

    def load(self, entry: Path) -> Clip:
        """One sequence; raises DatasetError."""
        boxes = read_boxes(entry / "groundtruth.txt")
        boxes = hide(boxes, read_flags(entry / "absence.label"), entry / "absence.label")
        covered = entry / "cover.label"
        if covered.is_file():
            boxes = hide(boxes, ~read_flags(covered), covered)
        frames = NumberedFrames(entry, "{:08d}.jpg", len(boxes), first=1)
        return Clip(self.name_of(entry), frames, boxes)
