"""Open the data sets that a run names, with the share of the pairs that each of them gives."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
from dcfst_training.datasets.clips import ClipList
from dcfst_training.datasets.layouts import wrong_layout
from dcfst_training.datasets.otb_folders import read_facts
from dcfst_training.datasets.relatives import link_relatives
from dcfst_training.errors import SettingsError
from dcfst_training.shards import open_shards

log = logging.getLogger(__name__)
FLAGS = (
    *("got10k", "lasot", "trackingnet", "coco", "masks"),
    *("shards", "video_folders", "still_folders", "synthetic"),
)


@dataclass(frozen=True)
class Source:
    """A data set and what decides its share of the pairs: `share` times the weight of `group`."""

    clips: ClipSet
    group: str
    """Name that `weights` knows it by: its own, or `stills` for all stills together."""
    share: float = 1.0

    def weight(self, weights: dict[str, float]) -> float:
        """By its own name, else by its group's; 1 where neither is named."""
        return self.share * weights.get(self.clips.name, weights.get(self.group, 1.0))


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
    shards: str | Sequence[str] | None = None

    def open(self, context: float = 0.0) -> list[Source]:
        """The sets that have clips; those that show the same image or video share its origin.

        `context`: side of the largest crop that is taken / the target's size, for packed data.
        Raises DatasetLayoutError for a folder of another layout, SettingsError when there is none.
        """
        found = [*self._published(), *self._folders()]
        for folder in shard_folders(self.shards):
            found += [
                Source(part, part.group, part.share) for part in open_shards(folder, context)
            ]
        found = [source for source in found if len(source.clips)]
        if not found:
            flags = ", ".join(f"--data.{name}" for name in FLAGS[:-1])
            raise SettingsError(
                f"expected at least one data set: give {flags} or --data.{FLAGS[-1]}"
            )
        return _linked(found)

    def _published(self) -> Iterator[Source]:
        if self.got10k:
            yield _own(GOT10k(self.got10k))
        if self.lasot:
            yield _own(LaSOT(self.lasot))
        if self.trackingnet:
            yield _own(TrackingNet(self.trackingnet, self.trackingnet_sets))
        if self.coco:
            yield _own(COCO(self.coco, self.coco_split))
        if self.masks:
            yield _own(MaskVideos(self.masks))

    def _folders(self) -> Iterator[Source]:
        if self.video_folders:
            expected = "<set>/<sequence>/img/*.jpg with groundtruth_rect.txt"
            facts = read_facts(self.video_folders)
            for folder in _subfolders(self.video_folders, "video_folders", expected):
                yield _own(OTBFolders(folder, facts=facts))
        if self.still_folders:
            expected = "<set>/images/* with <set>/boxes.json"
            yield from _stills(_subfolders(self.still_folders, "still_folders", expected))
        if self.synthetic:
            yield _own(MovingTargets(self.synthetic))


def weigh(sources: Sequence[Source], weights: dict[str, float]) -> list[float]:
    """The weight of each set; names in `weights` that no set has are reported.

    `weights`: by a set's name, `stills` for all stills together; 1 where it is not named.
    """
    names = {source.clips.name for source in sources} | {source.group for source in sources}
    for name in sorted(set(weights) - names):
        log.warning(
            "no data set is called %s, which has a weight; there are %s",
            *(name, ", ".join(sorted(names))),
        )
    return [source.weight(weights) for source in sources]


def shard_folders(shards: str | Sequence[str] | None) -> list[str]:
    """The places of packed shards, of which there may be one, several or none."""
    return [shards] if isinstance(shards, str) else list(shards or ())


def _own(clips: ClipSet) -> Source:
    return Source(clips, clips.name)


def _linked(sources: list[Source]) -> list[Source]:
    lists = [source.clips for source in sources if isinstance(source.clips, ClipList)]
    linked = iter(link_relatives(lists))
    return [
        replace(source, clips=next(linked)) if isinstance(source.clips, ClipList) else source
        for source in sources
    ]


def _stills(folders: list[Path]) -> list[Source]:
    # Sets of stills differ a hundredfold in size: the root keeps the small ones in the mix
    # without showing their few objects too often.
    found = [BoxStills(folder) for folder in folders if (folder / "boxes.json").is_file()]
    total = sum(math.sqrt(len(clips)) for clips in found) or 1.0
    return [Source(clips, "stills", math.sqrt(len(clips)) / total) for clips in found]


def _subfolders(root: str, flag: str, expected: str) -> list[Path]:
    path = Path(root)
    folders = sorted(child for child in path.iterdir() if child.is_dir()) if path.is_dir() else []
    if not folders:
        raise wrong_layout(path, flag, expected)
    return folders
