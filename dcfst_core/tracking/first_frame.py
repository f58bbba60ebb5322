"""What happens once, on a target's first frame: its copies, and an IoU predictor made its own.

The first frame is the one in which the truth is known, so more is learned from it than from any
other: augmented copies teach the regressor more than one appearance (ATOM), and the IoU predictor
is fitted to boxes drawn around the given one in displaced crops, whose IoU is known. First the
modulation vectors, by a few steps of Adam; then the predictor's last layer, in closed form.
Neither fit is in the paper; see the ablations in docs/results.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dcfst_core.boxes import BoxXYWH
from dcfst_core.inference.iou_field import Guide
from dcfst_core.inference.net import InferenceNet
from dcfst_core.network.embedding import Features
from dcfst_core.network.iou_fit import FIT_BOXES, FIT_CROPS, FIT_MIN_IOU, fit_predictor
from dcfst_core.network.proposals import draw_proposals
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.patch import SearchRegion, crop_regions

# (flip, rotation in degrees, blur sigma in patch px) of each copy; the first is the frame itself.
_COPIES = (
    (False, 0.0, 0.0),
    (True, 0.0, 0.0),
    (False, 10.0, 0.0),
    (False, -10.0, 0.0),
    (False, 25.0, 0.0),
    (False, -25.0, 0.0),
    (False, 0.0, 2.0),
    (True, 0.0, 3.0),
)
_BOXES_PER_STEP = 12


def augment_patch(patch: Tensor) -> Tensor:
    """Copies (K, 3, S, S) of a normalised patch (1, 3, S, S), turned about its centre.

    The target's centre stays at the patch centre, so all copies share one set of labels.
    """
    return torch.cat([_copy(patch, *spec) for spec in _COPIES])


class DrawnBoxes(NamedTuple):
    """Boxes drawn around a known one in C crops of its frame."""

    pooled: Features
    """(C, R, 5, 5, 256) and (C, R, 3, 3, 256), from `IoUNet.pool`."""
    wanted: Tensor
    """(C, R) their IoU with the known box, on the scale [-1, 1]."""


def draw_boxes(
    net: InferenceNet, image: Tensor, box_xywh: BoxXYWH, config: TrackerConfig
) -> DrawnBoxes:
    """Draw boxes around the target's box in displaced crops of `image` (3, H, W).

    Deterministic: boxes come from a fixed seed.
    """
    rng = np.random.default_rng(0)
    regions = [_displaced(box_xywh, *crop, config) for crop in FIT_CROPS]
    drawn = [
        draw_proposals(np.array(region.to_patch(box_xywh)), FIT_BOXES, rng, FIT_MIN_IOU)
        for region in regions
    ]
    boxes, ious = (
        torch.as_tensor(np.stack(part), dtype=torch.float32) for part in zip(*drawn, strict=True)
    )
    features = net.iou_features(net.trunk(crop_regions(image, regions)))
    return DrawnBoxes(
        net.pool_iou(features, boxes.to(image.device)), 2 * ious.to(image.device) - 1
    )


def adapt_modulation(
    net: InferenceNet, drawn: DrawnBoxes, modulation: Features, config: TrackerConfig
) -> Features:
    """Improve the modulation vectors, 2 x (1, 256) from the reference branch, on drawn boxes.

    Runs `modulation_adaptation_iter` steps of Adam on `_BOXES_PER_STEP` boxes of each crop.
    """
    rng = np.random.default_rng(0)
    crops, count = drawn.wanted.shape
    adam = _Adam(modulation, config.modulation_adaptation_rate)
    for _ in range(config.modulation_adaptation_iter):
        chosen = torch.from_numpy(rng.permutation(count)[:_BOXES_PER_STEP])
        chosen = chosen.to(drawn.wanted.device)
        pooled = (drawn.pooled[0][:, chosen], drawn.pooled[1][:, chosen])
        with torch.enable_grad():
            vectors = [vector.detach().requires_grad_() for vector in adam.values]
            repeated = (vectors[0].expand(crops, -1), vectors[1].expand(crops, -1))
            predicted = net.predict_pooled_iou(pooled, repeated)
            loss = (predicted - drawn.wanted[:, chosen]).square().mean()
            gradients = torch.autograd.grad(loss, vectors)
        adam.step(gradients)
    return adam.values[0], adam.values[1]


class _Adam:
    """Adam (Kingma and Ba, ICLR 2015) on a few tensors.

    `torch.optim` does the same, but its first use imports PyTorch's compiler: more than a second.
    """

    def __init__(self, values: Sequence[Tensor], rate: float) -> None:
        self.values = [value.clone() for value in values]
        self._rate = rate
        self._steps = 0
        self._means = [torch.zeros_like(value) for value in values]
        self._squares = [torch.zeros_like(value) for value in values]

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Go one step against the gradients."""
        self._steps += 1
        unbias_mean, unbias_square = 1 - 0.9**self._steps, 1 - 0.999**self._steps
        for value, mean, square, gradient in zip(
            self.values, self._means, self._squares, gradients, strict=True
        ):
            mean.lerp_(gradient, 1 - 0.9)
            square.mul_(0.999).addcmul_(gradient, gradient, value=1 - 0.999)
            deviation = (square / unbias_square).sqrt() + 1e-8
            value.addcdiv_(mean, deviation, value=-self._rate / unbias_mean)


def fit_last_layer(
    net: InferenceNet, drawn: DrawnBoxes, guide: Guide, regularization: float
) -> Guide:
    """The guide (one row) with the predictor's last layer fitted to drawn boxes, in closed form.

    `guide`: the predictor as it was trained; `regularization`: see `TrackerConfig.predictor_fit`.
    """
    crops = len(drawn.wanted)
    repeated = (guide.modulation3.expand(crops, -1), guide.modulation4.expand(crops, -1))
    hidden = net.iou_hidden(drawn.pooled, repeated).flatten(0, 1)
    weight, bias = fit_predictor(
        hidden[None], drawn.wanted.flatten()[None], guide.weight, guide.bias, regularization
    )
    return guide._replace(weight=weight, bias=bias)


def _displaced(
    box_xywh: BoxXYWH, shift_x: float, shift_y: float, scale: float, config: TrackerConfig
) -> SearchRegion:
    x, y, w, h = box_xywh
    size = math.sqrt(w * h)
    return SearchRegion(
        x + w / 2 + shift_x * size,
        y + h / 2 + shift_y * size,
        config.search_area_scale * size * scale,
        config.patch_size,
    )


def _copy(patch: Tensor, flip: bool, degrees: float, blur_sigma: float) -> Tensor:
    if flip:
        patch = patch.flip(-1)
    if degrees:
        angle = torch.deg2rad(torch.tensor(degrees))
        cos, sin = float(angle.cos()), float(angle.sin())
        matrix = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]], device=patch.device)
        grid = F.affine_grid(matrix, list(patch.shape), align_corners=False)
        patch = F.grid_sample(patch, grid, padding_mode="reflection", align_corners=False)
    if blur_sigma:
        patch = _blur(patch, blur_sigma)
    return patch


def _blur(patch: Tensor, sigma: float) -> Tensor:
    radius = round(3 * sigma)
    offsets = torch.arange(-radius, radius + 1, dtype=patch.dtype, device=patch.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(patch.shape[1], 1, 1, -1)
    padded = F.pad(patch, (radius,) * 4, mode="replicate")
    across = F.conv2d(padded, kernel, groups=patch.shape[1])
    return F.conv2d(across, kernel.mT, groups=patch.shape[1])
