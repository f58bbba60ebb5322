"""LaSOT: `[<class>/]<class>-<n>/img/00000001.jpg…`, `groundtruth.txt`, two files of flags."""

from __future__ import annotations

import logging
from pathlib import Path

from dcfst_core.evaluation.sequences import hide, read_boxes, read_flags
from dcfst_core.media.video import natural_key
from dcfst_training.datasets.clips import Clip
from dcfst_training.datasets.layouts import wrong_layout
from dcfst_training.datasets.lazy import LazyClips, NumberedFrames

log = logging.getLogger(__name__)
FLAGS = ("full_occlusion.txt", "out_of_view.txt")


class LaSOT(LazyClips[Path]):
    """The sequences of LaSOT's training split (1,120 of 1,400).

    `root`: the folder of the classes, or of the sequences themselves. The published boxes count
    pixels from 1; here they are 0-based. A frame counts as absent where the target is fully
    occluded or out of view. `training_set.txt` in the root chooses the sequences; without it those
    of `testing_set.txt` are left out; without either all are used, with a warning. Raises
    DatasetLayoutError.
    """

    name = "lasot"

    def __init__(self, root: str | Path) -> None:
        root = Path(root)
        found = [*root.glob("*/*/groundtruth.txt"), *root.glob("*/groundtruth.txt")]
        folders = [path.parent for path in found if (path.parent / "img").is_dir()]
        if not any((folder / FLAGS[0]).is_file() for folder in folders):
            raise wrong_layout(
                root,
                "lasot",
                f"[<class>/]<class>-<n>/groundtruth.txt with img/, {FLAGS[0]} and {FLAGS[1]}",
            )
        wanted = self._training(root, sorted(folders, key=lambda path: natural_key(str(path))))
        if not wanted:
            raise wrong_layout(root, "lasot", "sequences of the training split")
        super().__init__(wanted)
        self.check_first()

    def _training(self, root: Path, folders: list[Path]) -> list[Path]:
        chosen, left_out = root / "training_set.txt", root / "testing_set.txt"
        if chosen.is_file():
            names = set(chosen.read_text().split())
            _report_missing(names - {folder.name for folder in folders}, len(names), chosen)
            return [folder for folder in folders if folder.name in names]
        if left_out.is_file():
            names = set(left_out.read_text().split())
            return [folder for folder in folders if folder.name not in names]
        log.warning(
            "neither %s nor testing_set.txt is there: all %s sequences are used, also LaSOT's "
            "test sequences, so results on LaSOT will not count; put its published "
            "testing_set.txt in that folder",
            *(chosen, len(folders)),
        )
        return folders

    def name_of(self, entry: Path) -> str:
        """`lasot/<sequence>`."""
        return f"{self.name}/{entry.name}"

    def load(self, entry: Path) -> Clip:
        """One sequence; raises DatasetError."""
        boxes = read_boxes(entry / "groundtruth.txt", origin=1)
        for name in FLAGS:
            boxes = hide(boxes, read_flags(entry / name), entry / name)
        frames = NumberedFrames(entry / "img", "{:08d}.jpg", len(boxes), first=1)
        return Clip(self.name_of(entry), frames, boxes)


def _report_missing(missing: set[str], listed: int, listing: Path) -> None:
    if missing and len(missing) < listed:
        classes = sorted({name.rpartition("-")[0] for name in missing})
        log.warning(
            "%s of the %s sequences that %s names are not there (classes: %s); going on without",
            *(len(missing), listed, listing, ", ".join(classes)),
        )
