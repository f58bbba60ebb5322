"""A network whose embedding has learned nothing: the baseline of the head's ablation."""

from __future__ import annotations

import copy

import torch
from torch import nn

from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.network.model import DCFSTNet
from dcfst_core.network.samples import SampleGrid
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.patch import SearchRegion, crop_regions, upload_frame


@torch.no_grad()
def plain_feature_head(model: DCFSTNet, seed: int = 0) -> DCFSTNet:
    """Return a copy with an embedding that has learned nothing: plain trunk features.

    The convolutions pass their input through, and the fully connected layers become a fixed random
    projection to the same number of dimensions, which nearly keeps inner products and so the ridge
    regression's answer (Johnson and Lindenstrauss). Each is scaled to give samples of the same
    spread as the learned layer does on a synthetic frame, so that `regularization` weighs as much
    as before. Trunk and IoU predictor stay as they are.
    """
    plain = copy.deepcopy(model).eval()
    generator = torch.Generator().manual_seed(seed)
    for branch in (plain.embedding.block3, plain.embedding.block4):
        branch.residual = True
        nn.init.zeros_(branch.bn2.weight)
        nn.init.zeros_(branch.bn2.bias)
        branch.fc.weight.copy_(torch.randn(branch.fc.weight.shape, generator=generator))
        nn.init.zeros_(branch.fc.bias)
    ratios = [a / b for a, b in zip(_spreads(model), _spreads(plain), strict=True)]
    plain.embedding.block3.fc.weight.mul_(ratios[0])
    plain.embedding.block4.fc.weight.mul_(ratios[1])
    return plain


@torch.no_grad()
def _spreads(model: DCFSTNet) -> list[float]:
    """Root mean squared distance of each branch's sample features from their mean."""
    config = TrackerConfig.paper()
    clip = SyntheticClip(frames=1)
    box = clip.boxes_xywh()[0]
    region = SearchRegion.around((box[0], box[1], box[2], box[3]), 5.0, config.patch_size)
    frame = upload_frame(next(iter(clip)), next(model.parameters()).device)
    features = model.embedding.convolve(model(crop_regions(frame, [region])))
    grid = SampleGrid(config.grid_size, config.grid_spacing, config.patch_size)
    target_wh = features[0].new_tensor([region.to_patch(box.tolist())[2:]])
    halves = model.embedding.embed(features, grid, target_wh)[0].chunk(2, dim=1)
    return [float((x - x.mean(dim=0)).square().sum(dim=1).mean().sqrt()) for x in halves]
