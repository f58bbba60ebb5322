"""Find the clips that show the same image or video, so that all of it lies on one side of a split.

Two objects of one video, a video that two sets hold, and copies of an image would otherwise be
trained on and held out at once.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dcfst_training.datasets.clips import Clip, ClipList


def link_relatives(sets: Sequence[ClipList]) -> list[ClipList]:
    """The sets with one `origin` for all clips whose origin, `related` or first frame is shared.

    The origin is the first of theirs by name. Frames are compared by content, where sizes agree.
    """
    clips = [clip for part in sets for clip in part.clips if clip.reader is None]
    copies = _copies({clip.frames[0] for clip in clips})
    links = _Links()
    for clip in clips:
        for other in (*clip.related, copies.get(clip.frames[0], "")):
            if other:
                links.join(clip.origin, f"related to {other}")
    names = links.names(clip.origin for clip in clips)
    return [
        ClipList(part.name, tuple(_renamed(clip, names.get(clip.origin)) for clip in part.clips))
        for part in sets
    ]


def _renamed(clip: Clip, origin: str | None) -> Clip:
    return clip if origin in (None, clip.origin) else replace(clip, origin=origin)


def _copies(paths: Iterable[Path]) -> dict[Path, str]:
    """A checksum of each file that may have a copy: of those of one size."""
    sizes: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        try:
            sizes[path.stat().st_size].append(path)
        except OSError:
            continue  # missing: it is reported when it is drawn
    return {
        path: hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        for alike in sizes.values()
        if len(alike) > 1
        for path in alike
    }


class _Links:
    """Disjoint sets of strings."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def join(self, one: str, other: str) -> None:
        self._parents[self._root(one)] = self._root(other)

    def _root(self, item: str) -> str:
        while (parent := self._parents.setdefault(item, item)) != item:
            self._parents[item] = self._parents[parent]
            item = parent
        return item

    def names(self, items: Iterable[str]) -> dict[str, str]:
        """The first by name of each item's set, of the items given."""
        first: dict[str, str] = {}
        known = sorted(set(items))
        for item in known:
            first.setdefault(self._root(item), item)
        return {item: first[self._root(item)] for item in known}
