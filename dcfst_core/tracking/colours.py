"""The colours of a target: what tells it from a cover that owes nothing to the network.

A cover that comes slowly, or a look-alike, may be like the target in everything that the network
sees of it, and has other colours. They are counted in the middle of the box, in bins that overlap,
with the brightness of what is around the box taken out: a shadow over all of it changes nothing,
nor does it matter which region shows the box. Not in the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dcfst_core.tracking.patch import denormalize_patches

BINS = 8
"""Of each channel: a palette has BINS^3 shares."""
_POINTS = 16  # along each side of the box
_MIDDLE = 0.8  # of the box, along each side: its border shows what is behind
_AROUND = 3.0  # of the box, along each side, of which the brightness is taken
_BRIGHTNESS = 110.0  # mean value to which that is brought, of 255
_DARKEST = 8.0  # below this mean there is nothing but noise to bring up
_LEARNING_RATE = 0.04


def palettes(patches: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """The share of each colour (B, BINS^3) in the middle of boxes (B, 4), patch px.

    `patches`: normalised search regions (B, 3, S, S). Each row sums to one.
    """
    pixels = _pixels(patches, boxes_xyxy, _MIDDLE)
    brightness = _pixels(patches, boxes_xyxy, _AROUND).mean(dim=(1, 2), keepdim=True)
    scaled = pixels * (_BRIGHTNESS / brightness.clamp(min=_DARKEST))
    # Each value stands between the middles of two bins, and counts in both: eight bins a colour.
    place = (scaled * (BINS / 256) - 0.5).clamp(0, BINS - 1 - 1e-4)
    low = place.floor()
    parts = torch.stack((1 - place + low, place - low), dim=2)
    bins = torch.stack((low, low + 1), dim=2)
    weight, index = parts[:, 0], bins[:, 0]
    for channel in (1, 2):
        weight = (weight[:, :, None] * parts[:, channel, None]).flatten(1, 2)
        index = (index[:, :, None] * BINS + bins[:, channel, None]).flatten(1, 2)
    shares = place.new_zeros(len(patches), BINS**3)
    shares.scatter_add_(1, index.flatten(1).long(), weight.flatten(1))
    return shares / _POINTS**2


def likeness(known: Tensor, seen: Tensor) -> Tensor:
    """How alike palettes (B, BINS^3) are, (B,): their Bhattacharyya coefficients, 1 = equal."""
    return (known * seen).sqrt().sum(dim=1)


def learned(known: Tensor, seen: Tensor) -> Tensor:
    """A target's palette after one more frame in which it was surely seen."""
    return torch.lerp(known, seen, _LEARNING_RATE)


def _pixels(patches: Tensor, boxes_xyxy: Tensor, share: float) -> Tensor:
    """Pixels (B, 3, n^2) in 0..255 at points spread evenly over `share` of each box's sides."""
    side = patches.shape[3]
    steps = (torch.arange(_POINTS, device=patches.device) + 0.5) / _POINTS - 0.5
    low, high = boxes_xyxy.view(-1, 2, 2, 1).unbind(dim=1)
    # The middle of pixel 0 is at 0.5. A damaged model's boxes may be none.
    places = ((low + high) / 2 + share * (high - low) * steps).nan_to_num()
    columns, rows = places.clamp(0, side - 1).long().unbind(dim=1)
    index = (rows[:, :, None] * side + columns[:, None]).flatten(1)
    pixels = patches.flatten(2).gather(2, index[:, None].expand(-1, 3, -1))
    return denormalize_patches(pixels[..., None])[..., 0]
