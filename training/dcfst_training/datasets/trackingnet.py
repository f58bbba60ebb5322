"""TrackingNet: `TRAIN_0…TRAIN_11/anno/<video>.txt` and `frames/<video>/0.jpg…`."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from dcfst_core.evaluation.sequences import read_boxes
from dcfst_training.datasets.clips import Clip
from dcfst_training.datasets.layouts import wrong_layout
from dcfst_training.datasets.lazy import LazyClips, NumberedFrames

log = logging.getLogger(__name__)
SETS = tuple(range(12))


class TrackingNet(LazyClips[tuple[Path, str]]):
    """The videos of TrackingNet's training sets (30,132 in 12 sets).

    `root`: the folder of the sets. `sets`: numbers of the sets to use; None takes those that are
    there and names the others. Boxes are 0-based pixels; the target is in every frame. Videos
    whose frames are not there are reported and left out. Raises DatasetLayoutError.
    """

    name = "trackingnet"

    def __init__(self, root: str | Path, sets: Sequence[int] | None = None) -> None:
        root = Path(root)
        present = [number for number in SETS if (root / f"TRAIN_{number}" / "anno").is_dir()]
        missing = [number for number in (SETS if sets is None else sets) if number not in present]
        if not present or (sets is not None and missing):
            wanted = ", ".join(f"TRAIN_{number}" for number in missing)
            raise wrong_layout(root, "trackingnet", f"anno/ and frames/ in each of {wanted}")
        if missing:
            names = ", ".join(f"TRAIN_{number}" for number in missing)
            log.warning("TrackingNet in %s lacks %s; going on without", root, names)
        entries: list[tuple[Path, str]] = []
        for number in present if sets is None else sets:
            entries += _videos(root / f"TRAIN_{number}")
        if not entries:
            raise wrong_layout(
                root / f"TRAIN_{present[0]}",
                "trackingnet",
                "frames/<video>/0.jpg… beside anno/<video>.txt (unpack zips/<video>.zip there)",
            )
        super().__init__(entries)
        self.check_first()

    def name_of(self, entry: tuple[Path, str]) -> str:
        """`trackingnet/TRAIN_<n>/<video>`."""
        folder, video = entry
        return f"{self.name}/{folder.name}/{video}"

    def load(self, entry: tuple[Path, str]) -> Clip:
        """One video; raises DatasetError."""
        folder, video = entry
        boxes = read_boxes(folder / "anno" / f"{video}.txt")
        frames = NumberedFrames(folder / "frames" / video, "{}.jpg", len(boxes), first=0)
        return Clip(self.name_of(entry), frames, boxes)


def _videos(folder: Path) -> list[tuple[Path, str]]:
    """The annotated videos of one set that have a folder of frames."""
    annotated = sorted(path.stem for path in (folder / "anno").glob("*.txt"))
    frames = folder / "frames"
    unpacked = set(os.listdir(frames)) if frames.is_dir() else set()
    missing = [video for video in annotated if video not in unpacked]
    if missing:
        log.warning(
            "%s of the %s videos in %s have no folder in frames/ (first: %s); going on without",
            *(len(missing), len(annotated), folder, missing[0]),
        )
    return [(folder, video) for video in annotated if video in unpacked]
