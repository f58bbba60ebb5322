"""What a target looked like: the check that what was found is still the same object.

The regressor follows what stands out from its surroundings and learns as it goes, so it can slip
onto another object and be sure of it a second later. An object's look changes step by step; a
look that resembles none of those remembered is somebody else's. Not in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dcfst_core.backbone import STRIDE_BLOCK3, STRIDE_BLOCK4, patch_to_feature
from dcfst_core.embedding import Features
from dcfst_core.prroi_pool import prroi_pool

# Stride and bins of the two blocks, as IoU-Net pools them.
_POOLS = ((STRIDE_BLOCK3, 5), (STRIDE_BLOCK4, 3))
_USUAL_RATE = 0.05
_LEAST_USUAL = 0.3


class Appearances:
    """Descriptors of one target: of its first frame, and of the last ones that it learned from.

    A descriptor is what the head's features hold in the target's box, less the first frame's mean
    over the search region, each block scaled to length one: (bins^2 C of block3 + of block4).
    """

    def __init__(self, features: Features, box_xyxy: Tensor, capacity: int) -> None:
        """Begin with the box (1, 4), patch px, in the first frame's head features (1, ...)."""
        self._means = [block.float().mean(dim=(2, 3), keepdim=True) for block in features]
        self._capacity = capacity
        self._known = self.describe(features, box_xyxy)
        self._usual: float | None = None

    def describe(self, features: Features, box_xyxy: Tensor) -> Tensor:
        """The descriptor (1, F) of a box (1, 4), patch px, in head features (1, ...)."""
        parts = []
        for block, mean, (stride, bins) in zip(features, self._means, _POOLS, strict=True):
            rois = patch_to_feature(box_xyxy[:, None], stride)
            pooled = prroi_pool(block.float() - mean, rois, bins)
            parts.append(F.normalize(pooled.flatten(1), dim=1))
        return torch.cat(parts, dim=1) / len(parts) ** 0.5

    def similarity(self, descriptor: Tensor) -> Tensor:
        """The greatest cosine (1,) between a descriptor (1, F) and those remembered."""
        return (descriptor @ self._known.T).amax(dim=1)

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
        """Remember one more; the first one stays, of the others the newest."""
        others = torch.cat((self._known[1:], descriptor))
        forgotten = max(1 + len(others) - self._capacity, 0)
        self._known = torch.cat((self._known[:1], others[forgotten:]))


def compare(
    remembered: Sequence[Appearances | None], features: Features, boxes_xyxy: Tensor
) -> tuple[list[Tensor | None], Tensor]:
    """What was found for each target: descriptors (1, F), and similarities (B,) to what it was.

    `features`: head features (B, ...); `boxes_xyxy`: (B, 4), patch px. Where a target remembers
    nothing there is no descriptor, and the similarity is 1.
    """
    descriptors: list[Tensor | None] = []
    similarities: list[Tensor] = []
    for index, appearances in enumerate(remembered):
        one = slice(index, index + 1)
        if appearances is None:
            descriptors.append(None)
            similarities.append(torch.ones(1, device=boxes_xyxy.device))
        else:
            view = (features[0][one], features[1][one])
            descriptor = appearances.describe(view, boxes_xyxy[one])
            descriptors.append(descriptor)
            similarities.append(appearances.similarity(descriptor))
    return descriptors, torch.cat(similarities)
