"""What a target looked like: the check that what was found is still the same object.

The regressor follows what stands out from its surroundings and learns as it goes, so it can slip
onto another object and be sure of it a second later. An object's look changes step by step; a
look that resembles none of those remembered is somebody else's. Not in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from dcfst_core.network.backbone import STRIDE_BLOCK3, STRIDE_BLOCK4, patch_to_feature
from dcfst_core.network.embedding import Features
from dcfst_core.network.prroi_pool import prroi_pool

# Stride and bins of the two blocks, as IoU-Net pools them.
_POOLS = ((STRIDE_BLOCK3, 5), (STRIDE_BLOCK4, 3))
_USUAL_RATE = 0.05
_LEAST_USUAL = 0.3


@dataclass(frozen=True)
class Looks:
    """What some targets looked like, one row each, to compare what was found with."""

    mean3: Tensor
    mean4: Tensor
    """(B, C, 1, 1) of each block: means of the first frames' features."""
    known: Tensor
    """(B, K, F) remembered descriptors."""

    @classmethod
    def stack(cls, looks: Sequence[Looks]) -> Looks:
        """Join looks of several targets along the batch."""
        return cls(
            torch.cat([look.mean3 for look in looks]),
            torch.cat([look.mean4 for look in looks]),
            torch.cat([look.known for look in looks]),
        )

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

    def similarity(self, descriptors: Tensor) -> Tensor:
        """The greatest cosine (B,) between descriptors (B, F) and those remembered."""
        return (self.known @ descriptors[..., None]).amax(dim=(1, 2))


class Appearances:
    """The looks of one target: of its first frame, and of the last ones that it learned from."""

    def __init__(self, features: Features, box_xyxy: Tensor, capacity: int) -> None:
        """Begin with the box (1, 4), patch px, in the first frame's head features (1, ...)."""
        means = [block.float().mean(dim=(2, 3), keepdim=True) for block in features]
        nothing = Looks(means[0], means[1], torch.empty(0))
        first = nothing.describe(features, box_xyxy)
        # The first look fills the places of those to come: the greatest cosine is the same.
        self.looks = replace(nothing, known=first[:, None].expand(-1, capacity, -1))
        self._usual: float | None = None

    def likeness(self, similarity: float) -> float:
        """A similarity relative to the target's usual one, in [0, 1]; 1: it looks as ever."""
        usual = similarity if self._usual is None else self._usual
        return min(max(similarity / max(usual, _LEAST_USUAL), 0.0), 1.0)

    def note(self, similarity: float) -> None:
        """Take the similarity of a frame in which the target was tracked as usual."""
        if self._usual is None:
            self._usual = similarity
        self._usual += _USUAL_RATE * (similarity - self._usual)

    def add(self, descriptor: Tensor) -> None:
        """Remember one more (1, F); the first one stays, of the others the newest."""
        known = self.looks.known
        newest = torch.cat((known[:, 2:], descriptor[:, None]), dim=1)
        kept = torch.cat((known[:, :1], newest[:, : known.shape[1] - 1]), dim=1)
        self.looks = replace(self.looks, known=kept)
