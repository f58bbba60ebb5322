"""What a target's model learns: its first frame, then frames in which it was seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dcfst_core.boxes import BoxXYWH
from dcfst_core.inference.net import InferenceNet
from dcfst_core.inference.timing import StageTimer
from dcfst_core.network.box_tensors import xywh_to_xyxy
from dcfst_core.network.embedding import Features
from dcfst_core.network.samples import SampleGrid
from dcfst_core.tracking.adaptation import adapt_modulation
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.first_frame import augment_patch
from dcfst_core.tracking.localisation import Sighting
from dcfst_core.tracking.looks import Appearances
from dcfst_core.tracking.memory import SampleMemory
from dcfst_core.tracking.patch import SearchRegion, crop_regions, to_device
from dcfst_core.tracking.target import Target


class Learner:
    """Starts targets and keeps their regressors up to date (paper Eq. 6 and 7)."""

    def __init__(
        self, net: InferenceNet, config: TrackerConfig, grid: SampleGrid, timer: StageTimer
    ) -> None:
        self._net = net
        self._config = config
        self._grid = grid
        self._update_grid = grid.thinned(config.update_grid_stride)
        self._timer = timer

    def start(self, image: Tensor, box_xywh: BoxXYWH, target_id: str) -> Target:
        """A new target from its box in `image` (3, H, W)."""
        config = self._config
        region = self._region(box_xywh)
        box = region.to_patch(box_xywh)
        patch = crop_regions(image, [region])
        blocks = self._net.trunk(patch)
        modulation = self._net.modulate(blocks, xywh_to_xyxy(self._tensor([box])))
        if config.box_refinement and config.modulation_adaptation_iter:
            modulation = adapt_modulation(self._net, image, box_xywh, modulation, config)
        if config.augment_first_frame:
            blocks = self._net.trunk(augment_patch(patch))
        features = self._net.convolve(blocks)
        memory = SampleMemory(config.memory, config.first_frame_floor)
        memory.start(*self._samples(features, [box] * len(features[0]), self._grid))
        kernel = self._net.collapse(memory.solve(config.regularization))
        target = Target(target_id, box_xywh, memory, kernel, modulation)
        if config.appearances:
            first = (features[0][:1], features[1][:1])
            place = xywh_to_xyxy(self._tensor([box]))
            target.appearances = Appearances(first, place, config.appearances)
        return target

    def learn(self, image: Tensor, due: Sequence[tuple[Target, Sighting]]) -> None:
        """Add the current frame to the models of some targets and solve them again."""
        config = self._config
        with self._timer("update"):
            features, boxes = self._views(image, due)
            x, y = self._samples(features, boxes, self._update_grid)
            for index, (target, sighting) in enumerate(due):
                rate = 1 - (1 - config.learning_rate) ** target.frames_since_update
                if target.urgent:
                    rate = max(rate, config.urgent_learning_rate)
                target.memory.add(x[index : index + 1], y[index : index + 1], rate)
                if target.appearances is not None and sighting.descriptor is not None:
                    target.appearances.add(sighting.descriptor)
                target.learned()
        with self._timer("solve"):
            for target, _ in due:
                target.kernel = self._net.collapse(target.memory.solve(config.regularization))

    def _views(
        self, image: Tensor, due: Sequence[tuple[Target, Sighting]]
    ) -> tuple[Features, list[BoxXYWH]]:
        """Head features (B, ...) to learn the targets from, and their boxes in those patches.

        The features in which a target was found serve again if it is near enough to their middle.
        """
        boxes = [sighting.region.to_patch(target.box_xywh) for target, sighting in due]
        views = [sighting.features for _, sighting in due]
        fresh = [index for index, box in enumerate(boxes) if not self._serves_again(box)]
        if fresh:
            regions = [self._region(due[index][0].box_xywh) for index in fresh]
            new3, new4 = self._net.convolve(self._net.trunk(crop_regions(image, regions)))
            for row, (index, region) in enumerate(zip(fresh, regions, strict=True)):
                views[index] = (new3[row : row + 1], new4[row : row + 1])
                boxes[index] = region.to_patch(due[index][0].box_xywh)
        return (torch.cat([view[0] for view in views]), torch.cat([v[1] for v in views])), boxes

    def _serves_again(self, box: BoxXYWH) -> bool:
        middle = self._config.patch_size / 2
        moved = math.hypot(box[0] + box[2] / 2 - middle, box[1] + box[3] / 2 - middle)
        return moved < self._config.reuse_features_within * math.sqrt(box[2] * box[3])

    def _samples(
        self, features: Features, boxes: Sequence[BoxXYWH], grid: SampleGrid
    ) -> tuple[Tensor, Tensor]:
        """Data matrices (B, N, D) and labels (B, N) of targets at boxes in their patches."""
        boxes_xywh = self._tensor(boxes)
        target_wh = boxes_xywh[:, 2:]
        offset_xy = boxes_xywh[:, :2] + target_wh / 2 - self._config.patch_size / 2
        x = self._net.embed(features, grid, target_wh)
        return x, grid.labels(target_wh, self._config.output_sigma_factor, offset_xy)

    def _region(self, box_xywh: BoxXYWH) -> SearchRegion:
        config = self._config
        return SearchRegion.around(box_xywh, config.search_area_scale, config.patch_size)

    def _tensor(self, values: Sequence[Sequence[float]]) -> Tensor:
        return to_device(values, self._net.device)
