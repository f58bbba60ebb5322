"""Fit the IoU predictor to one target: the modulation vectors learn from the first frame's box.

ATOM takes the vectors as the reference branch gives them. But the first frame is the one in which
the truth is known, so the predictor's errors there can be seen and reduced: a few steps on the two
vectors (512 numbers), on boxes drawn around the given one in displaced crops of the same frame.
Not in the paper; see the ablation in docs/results.md.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dcfst_core.boxes import BoxXYWH
from dcfst_core.inference.net import InferenceNet
from dcfst_core.network.embedding import Features
from dcfst_core.network.proposals import draw_proposals
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.patch import SearchRegion, crop_regions

# Centre (in target sizes) and relative side of the crops: in a search region the target is never
# quite in the middle, nor quite of the expected size.
_CROPS = ((0.0, 0.0, 1.0), (0.6, -0.4, 0.85), (-0.5, 0.5, 1.15), (0.2, 0.7, 1.0))
_BOXES_PER_CROP = 48
_BOXES_PER_STEP = 12
_MIN_IOU = 0.2


def adapt_modulation(
    net: InferenceNet,
    image: Tensor,
    box_xywh: BoxXYWH,
    modulation: Features,
    config: TrackerConfig,
) -> Features:
    """Improve the modulation vectors of a target on its first frame.

    `image`: (3, H, W). `box_xywh`: the target in it, pixels. `modulation`: 2 x (1, 256) from the
    reference branch. Runs `modulation_adaptation_iter` steps of Adam; returns vectors of the same
    shapes. Deterministic: boxes and their order come from a fixed seed.
    """
    rng = np.random.default_rng(0)
    regions = [_displaced(box_xywh, *crop, config) for crop in _CROPS]
    drawn = [
        draw_proposals(np.array(region.to_patch(box_xywh)), _BOXES_PER_CROP, rng, _MIN_IOU)
        for region in regions
    ]
    boxes, ious = (
        torch.as_tensor(np.stack(part), dtype=torch.float32) for part in zip(*drawn, strict=True)
    )
    features = net.iou_features(net.trunk(crop_regions(image, regions)))
    pooled = net.pool_iou(features, boxes.to(image.device))
    wanted = 2 * ious.to(image.device) - 1
    with torch.enable_grad():
        vectors = [vector.clone().requires_grad_() for vector in modulation]
        optimizer = torch.optim.Adam(vectors, lr=config.modulation_adaptation_rate)
        for _ in range(config.modulation_adaptation_iter):
            chosen = torch.from_numpy(rng.permutation(_BOXES_PER_CROP)[:_BOXES_PER_STEP])
            chosen = chosen.to(image.device)
            repeated = (vectors[0].expand(len(regions), -1), vectors[1].expand(len(regions), -1))
            predicted = net.predict_pooled_iou(
                (pooled[0][:, chosen], pooled[1][:, chosen]), repeated
            )
            optimizer.zero_grad()
            (predicted - wanted[:, chosen]).square().mean().backward()
            optimizer.step()
    return vectors[0].detach(), vectors[1].detach()


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
