"""Open the data sets that a run names, with the share of the pairs that each of them gives."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcfst_training.datasets import (
    COCO,
    BoxStills,
    ClipSet,
    GOT10k,
    LaSOT,
    MaskVideos,
    MovingTargets,
    OTBFolders,
    TrackingNet,
)
from dcfst_training.datasets.layouts import wrong_layout
from dcfst_training.errors import SettingsError
from dcfst_training.shards import ShardClips

log = logging.getLogger(__name__)
FLAGS = (
    *("got10k", "lasot", "trackingnet", "coco", "masks"),
    *("shards", "video_folders", "still_folders", "synthetic"),
)
Weighted = tuple[ClipSet, float]


@dataclass(frozen=True)
class Sources:
    """Where the data sets lie; None or 0 leaves one out."""

    got10k: str | None = None
    lasot: str | None = None
    trackingnet: str | None = None
    trackingnet_sets: Sequence[int] | None = None
    coco: str | None = None
    coco_split: str = "train2017"
    masks: str | None = None
    video_folders: str | None = None
    still_folders: str | None = None
    synthetic: int = 0
    shards: str | None = None

    def open(self, weights: dict[str, float], context: float = 0.0) -> list[Weighted]:
        """The sets with clips and a positive weight, each with its weight.

        `weights`: by a set's name, `stills` for all stills together; 1 where it is not named.
        `context`: side of the largest crop that is taken / the target's size, for packed data.
        Raises DatasetLayoutError for a folder of another layout, SettingsError when there is none.
        """
        found = [*self._published(weights), *self._folders(weights)]
        if self.shards:
            found.append((ShardClips(self.shards, context), weights.get("shards", 1.0)))
        if not found:
            flags = ", ".join(f"--data.{name}" for name in FLAGS[:-1])
            raise SettingsError(
                f"expected at least one data set: give {flags} or --data.{FLAGS[-1]}"
            )
        names = {clips.name for clips, _ in found} | ({"stills"} if self.still_folders else set())
        for name in sorted(set(weights) - names):
            log.warning("no data set is called %s, which has a weight; there are %s", name, names)
        return [(clips, weight) for clips, weight in found if len(clips) and weight > 0]

    def _published(self, weights: dict[str, float]) -> Iterator[Weighted]:
        if self.got10k:
            yield GOT10k(self.got10k), weights.get("got10k", 1.0)
        if self.lasot:
            yield LaSOT(self.lasot), weights.get("lasot", 1.0)
        if self.trackingnet:
            sets = self.trackingnet_sets
            yield TrackingNet(self.trackingnet, sets), weights.get("trackingnet", 1.0)
        if self.coco:
            yield COCO(self.coco, self.coco_split), weights.get("coco", 1.0)
        if self.masks:
            yield MaskVideos(self.masks), weights.get("masks", 1.0)

    def _folders(self, weights: dict[str, float]) -> Iterator[Weighted]:
        if self.video_folders:
            expected = "<set>/<sequence>/img/*.jpg with groundtruth_rect.txt"
            for folder in _subfolders(self.video_folders, "video_folders", expected):
                yield OTBFolders(folder), weights.get(folder.name, 1.0)
        if self.still_folders:
            expected = "<set>/images/* with <set>/boxes.json"
            folders = _subfolders(self.still_folders, "still_folders", expected)
            yield from _stills(folders, weights.get("stills", 1.0))
        if self.synthetic:
            yield MovingTargets(self.synthetic), weights.get("synthetic", 1.0)


def _stills(folders: list[Path], weight: float) -> list[Weighted]:
    # Sets of stills differ a hundredfold in size: the root keeps the small ones in the mix
    # without showing their few objects too often.
    found = [BoxStills(folder) for folder in folders if (folder / "boxes.json").is_file()]
    total = sum(math.sqrt(len(clips)) for clips in found) or 1.0
    return [(clips, weight * math.sqrt(len(clips)) / total) for clips in found]


def _subfolders(root: str, flag: str, expected: str) -> list[Path]:
    path = Path(root)
    folders = sorted(child for child in path.iterdir() if child.is_dir()) if path.is_dir() else []
    if not folders:
        raise wrong_layout(path, flag, expected)
    return folders
