"""What a target looked like: the check that what was found is still the same object.

The regressor follows what stands out from its surroundings and learns as it goes, so it can slip
onto another object and be sure of it a second later. An object's look changes step by step; a
look that resembles none of those verified is somebody else's. Not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dcfst_core.network.backbone import STRIDE_BLOCK3, STRIDE_BLOCK4, patch_to_feature
from dcfst_core.network.embedding import Features
from dcfst_core.network.prroi_pool import prroi_pool

# Stride and bins of the two blocks, as IoU-Net pools them.
_POOLS = ((STRIDE_BLOCK3, 5), (STRIDE_BLOCK4, 3))


class Looks(NamedTuple):
    """What some targets looked like, one row each, to compare what was found with."""

    mean3: Tensor
    mean4: Tensor
    """(B, C, 1, 1) of each block: means of the first frames' features."""
    known: Tensor
    """(B, K, F) descriptors; the first frame's is row 0."""

    def describe(self, features: Features, boxes_xyxy: Tensor) -> Tensor:
        """Descriptors (B, F) of boxes (B, 4), patch px, in head features (B, ...).

        A descriptor is what the features hold in the box, less the first frame's mean over the
        search region, each block scaled to length one: (bins^2 C of block3 + of block4).
        """
        parts = []
        means = (self.mean3, self.mean4)
        for block, mean, (stride, bins) in zip(features, means, _POOLS, strict=True):
            rois = patch_to_feature(boxes_xyxy[:, None], stride)
            pooled = prroi_pool(block.float() - mean, rois, bins)
            parts.append(F.normalize(pooled.flatten(1), dim=1))
        return torch.cat(parts, dim=1) / len(parts) ** 0.5

    def likeness(self, descriptors: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines of descriptors (B, F): to the first look, and the greatest to any, both (B,)."""
        cosines = (self.known @ descriptors[..., None]).squeeze(-1)
        return cosines[:, 0], cosines.amax(dim=1)


@dataclass(frozen=True)
class LookBook:
    """The looks of one target: of its first frame, and verified ones that differ from each other.

    `looks.known` is (1, capacity, F): places that are not taken yet repeat the first look, which
    leaves every greatest cosine as it is.
    """

    looks: Looks
    taken: int

    @classmethod
    def start(cls, features: Features, box_xyxy: Tensor, capacity: int) -> LookBook:
        """Begin with the box (1, 4), patch px, in the first frame's head features (1, ...)."""
        mean3, mean4 = (block.float().mean(dim=(2, 3), keepdim=True) for block in features)
        first = Looks(mean3, mean4, mean3.new_empty(0)).describe(features, box_xyxy)
        known = first[:, None].repeat(1, capacity, 1)
        return cls(Looks(mean3, mean4, known), 1)

    @classmethod
    def restored(cls, looks: Looks, capacity: int) -> LookBook:
        """A book of another run's looks (1, taken, F), the first ones if it has fewer places."""
        known = looks.known[:, :capacity]
        filler = known[:, :1].expand(-1, capacity - known.shape[1], -1)
        return cls(looks._replace(known=torch.cat((known, filler), dim=1)), known.shape[1])

    def with_look(self, descriptor: Tensor) -> LookBook:
        """The book with one more verified look (1, F).

        In a full book it takes the place of the one (never the first) that is most like another:
        what is kept stays diverse, whatever the target showed longest.
        """
        capacity = self.looks.known.shape[1]
        if capacity == 1:
            return self
        if self.taken < capacity:
            known = self.looks.known.clone()
            known[:, self.taken] = descriptor
            return LookBook(self.looks._replace(known=known), self.taken + 1)
        pool = torch.cat((self.looks.known, descriptor[:, None]), dim=1)
        cosines = (pool @ pool.mT)[0].fill_diagonal_(-1)
        cosines[0] = -1  # the first look is never the one to go
        redundant = cosines.amax(dim=1)
        keep = torch.arange(capacity, device=pool.device)
        # Without waiting for the device: the newest moves into the redundant one's place.
        gone = redundant.argmax()
        source = torch.where(keep == gone, capacity, keep)
        return LookBook(self.looks._replace(known=pool[:, source]), self.taken)
