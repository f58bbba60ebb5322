"""What a target looked like: the check that what was found is still the same object.

The regressor follows what stands out from its surroundings and learns as it goes, so it can slip
onto another object and be sure of it a second later. An object's look changes step by step; a
look that resembles none of those verified is somebody else's. Not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dcfst_core.network.backbone import STRIDE_BLOCK3, STRIDE_BLOCK4, patch_to_feature
from dcfst_core.network.embedding import Features
from dcfst_core.network.prroi_pool import prroi_pool

# Stride and bins of the two blocks, as IoU-Net pools them.
_POOLS = ((STRIDE_BLOCK3, 5), (STRIDE_BLOCK4, 3))


class Likeness(NamedTuple):
    """Cosines (B,) to looks."""

    first: Tensor
    greatest: Tensor
    """To any of the target's."""
    others: Tensor
    """The greatest to any of something else."""


class Looks(NamedTuple):
    """What some targets looked like, one row each, to compare what was found with."""

    mean3: Tensor
    mean4: Tensor
    """(B, C, 1, 1) of each block: means of the first frames' features."""
    known: Tensor
    """(B, K, F) descriptors; the first frame's is row 0."""
    others: Tensor
    """(B, K, F) descriptors of what answered beside the target, so is something else; zeros where
    there is none yet."""

    def describe(self, features: Features, boxes_xyxy: Tensor) -> Tensor:
        """Descriptors (B, R, F) of boxes (B, R, 4), patch px, in head features (B, ...).

        A descriptor is what the features hold in the box, less the first frame's mean over the
        search region, each block scaled to length one: (bins^2 C of block3 + of block4).
        """
        parts = []
        means = (self.mean3, self.mean4)
        for block, mean, (stride, bins) in zip(features, means, _POOLS, strict=True):
            pooled = prroi_pool(block.float() - mean, patch_to_feature(boxes_xyxy, stride), bins)
            parts.append(F.normalize(pooled.flatten(2), dim=2))
        return torch.cat(parts, dim=2) / len(parts) ** 0.5

    def likeness(self, descriptors: Tensor) -> Likeness:
        """Cosines of descriptors (B, F) to what is remembered."""
        column = descriptors[..., None]
        cosines = (self.known @ column).squeeze(-1)
        others = (self.others @ column).squeeze(-1)
        return Likeness(cosines[:, 0], cosines.amax(dim=1), others.amax(dim=1))


@dataclass(frozen=True)
class LookBook:
    """The looks of one target: of its first frame, and verified ones that differ from each other;
    and of what looks like it.

    `looks.known` is (1, capacity, F): places that are not taken yet repeat the first look, which
    leaves every greatest cosine as it is. So is `looks.others`, with zeros there.
    """

    looks: Looks
    taken: int
    others_taken: int = 0
    others_before: tuple[Tensor, int] | None = None
    """`looks.others` and how many of them are taken, without what was far from a target that is
    away; None where there is no such thing."""

    @classmethod
    def start(cls, features: Features, box_xyxy: Tensor, capacity: int) -> LookBook:
        """Begin with the box (1, 4), patch px, in the first frame's head features (1, ...)."""
        mean3, mean4 = (block.float().mean(dim=(2, 3), keepdim=True) for block in features)
        nothing = mean3.new_empty(0)
        first = Looks(mean3, mean4, nothing, nothing).describe(features, box_xyxy[:, None])
        known = first.repeat(1, capacity, 1)
        return cls(Looks(mean3, mean4, known, torch.zeros_like(known)), 1)

    @classmethod
    def restored(cls, looks: Looks, capacity: int) -> LookBook:
        """A book of another run's looks (1, taken, F), the first ones if it has fewer places.

        What looked like it there is not kept.
        """
        known = looks.known[:, :capacity]
        filler = known[:, :1].expand(-1, capacity - known.shape[1], -1)
        whole = torch.cat((known, filler), dim=1)
        return cls(looks._replace(known=whole, others=torch.zeros_like(whole)), known.shape[1])

    def with_look(self, descriptor: Tensor) -> LookBook:
        """The book with one more verified look (1, F).

        In a full book it takes the place of the one (never the first) that is most like another:
        what is kept stays diverse, whatever the target showed longest.
        """
        known = _with_row(self.looks.known, self.taken, descriptor, least=1)
        taken = min(self.taken + 1, known.shape[1])
        return replace(self, looks=self.looks._replace(known=known), taken=taken)

    def with_other(self, descriptor: Tensor) -> LookBook:
        """The book with one more look (1, F) of something else, kept in the same way."""
        others = _with_row(self.looks.others, self.others_taken, descriptor, least=0)
        return self._with_others(others, min(self.others_taken + 1, others.shape[1]))

    def with_far(self, descriptor: Tensor) -> LookBook:
        """The same for what is far from the target while that is away: it can be taken back."""
        before = self.others_before or (self.looks.others, self.others_taken)
        return replace(self.with_other(descriptor), others_before=before)

    def without_far(self) -> LookBook:
        """The book as if nothing far had been taken up since the target was last seen."""
        return self if self.others_before is None else self._with_others(*self.others_before)

    def _with_others(self, others: Tensor, taken: int) -> LookBook:
        looks = self.looks._replace(others=others)
        return replace(self, looks=looks, others_taken=taken, others_before=None)


def _with_row(rows: Tensor, taken: int, descriptor: Tensor, least: int) -> Tensor:
    """Rows (1, K, F) with one more, (1, F), in a free place or a redundant one's; the first
    `least` are never the ones to go."""
    capacity = rows.shape[1]
    if capacity <= least:
        return rows
    if taken < capacity:
        rows = rows.clone()
        rows[:, taken] = descriptor
        return rows
    pool = torch.cat((rows, descriptor[:, None]), dim=1)
    cosines = (pool @ pool.mT)[0].fill_diagonal_(-1)
    cosines[:least] = -1
    redundant = cosines.amax(dim=1)
    keep = torch.arange(capacity, device=pool.device)
    # Without waiting for the device: the newest moves into the redundant one's place.
    gone = redundant.argmax()
    source = torch.where(keep == gone, capacity, keep)
    return pool[:, source]
