"""What is trained on and what is held out: by image or video, and by whole data set.

Which side a clip is on follows from what it was cut from (`Clip.origin`), so that all objects of
one image or video are on one side, wherever and in whatever order they are stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from dcfst_training.datasets import Clip, ClipSet
from dcfst_training.errors import SettingsError

Side = Literal["train", "held_out", "held_out_sets"]


@dataclass(frozen=True)
class Split:
    """Which side each clip is on.

    `every`: about one image or video in so many is held out. `sets`: names of the data sets that
    are held out whole; what another set shares with them is used on no side.
    """

    every: int = 12
    sets: tuple[str, ...] = ()
    shared: frozenset[str] = field(default=frozenset())
    """Origins of the clips of those sets."""

    def __post_init__(self) -> None:
        if self.every < 2:
            raise SettingsError(
                f"expected --data.holdout_every of at least 2, because one image or video in so "
                f"many is held out; got {self.every}, which leaves none to train on"
            )

    @classmethod
    def of(cls, sources: Sequence[ClipSet], every: int, sets: Sequence[str]) -> Split:
        """The split of these data sets; SettingsError for a name in `sets` that none has."""
        held = [source for source in sources if source.name in sets]
        shared = (part.origin(index) for part in held for index in range(len(part)))
        return cls.among([source.name for source in sources], every, sets, shared)

    @classmethod
    def among(
        cls, names: Iterable[str], every: int, sets: Sequence[str], shared: Iterable[str]
    ) -> Split:
        """The split of data sets of these names; SettingsError if `sets` names another."""
        unknown = sorted(set(sets) - set(names))
        if unknown:
            raise SettingsError(
                f"expected in --data.holdout_sets names of data sets of this run, which are "
                f"{', '.join(sorted(set(names)))}; got {', '.join(unknown)}"
            )
        return cls(every, tuple(sets), frozenset(shared))

    def side(self, set_name: str, origin: str) -> Side | None:
        """Where a clip belongs; None for what is used nowhere."""
        if set_name in self.sets:
            return "held_out_sets"
        if origin in self.shared:
            return None
        digest = hashlib.blake2b(origin.encode(), digest_size=4).digest()
        number = int.from_bytes(digest, "little") % self.every
        return "held_out" if number == self.every - 1 else "train"


class Part:
    """The clips of one data set that are on one side."""

    def __init__(self, source: ClipSet, split: Split, side: Side) -> None:
        self.name = source.name
        self.source = source
        chosen = (split.side(source.name, source.origin(i)) == side for i in range(len(source)))
        # An array: loader processes then share one copy, whatever they count references to.
        self.indices = np.flatnonzero(np.fromiter(chosen, bool, len(source)))

    def __len__(self) -> int:
        return len(self.indices)

    def clip(self, index: int) -> Clip:
        """Clip `index` of this side."""
        return self.source.clip(int(self.indices[index]))

    def origin(self, index: int) -> str:
        """What it was cut from."""
        return self.source.origin(int(self.indices[index]))
