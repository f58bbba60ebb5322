"""What a target's model learns: its first frame, then frames in which it was surely seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dcfst_core.boxes import BoxXYWH
from dcfst_core.errors import SolverError
from dcfst_core.inference.iou_field import Guide
from dcfst_core.inference.net import InferenceNet
from dcfst_core.inference.timing import StageTimer
from dcfst_core.network.box_tensors import xywh_to_xyxy
from dcfst_core.network.embedding import Features
from dcfst_core.network.rows import on_device, pick
from dcfst_core.network.samples import SampleGrid
from dcfst_core.track import Evidence, TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.finds import Find
from dcfst_core.tracking.first_frame import (
    adapt_modulation,
    augment_patch,
    draw_boxes,
    fit_last_layer,
)
from dcfst_core.tracking.judgement import Belief
from dcfst_core.tracking.looks import LookBook
from dcfst_core.tracking.memory import GramMemory, SampleMemory, start_memory
from dcfst_core.tracking.motion import Motion
from dcfst_core.tracking.patch import SearchRegion, crop_regions, to_device
from dcfst_core.tracking.saved_target import SavedTarget
from dcfst_core.tracking.shape import Shape
from dcfst_core.tracking.target import Model, Target


@dataclass(frozen=True)
class Lesson:
    """What one target is to learn from the current frame."""

    target: Target
    find: Find
    rival: bool
    """Whether something else looks so much like it that the model learns to tell them apart."""


def has_rival(evidence: Evidence | None, config: TrackerConfig) -> bool:
    """Whether the second peak is a hard negative."""
    limit = config.hard_negative_threshold
    return evidence is not None and limit < 1 and evidence.second_peak > limit * evidence.peak


def due_lessons(lessons: Sequence[Lesson], targets: int, config: TrackerConfig) -> list[Lesson]:
    """What is learned in this frame; what can wait a little waits for the next ones.

    Targets that were given together would all be due together, and that frame would be late.
    """
    urgent = [lesson for lesson in lessons if lesson.rival]
    others = [
        lesson
        for lesson in lessons
        if not lesson.rival and lesson.target.model.frames_since_update >= config.update_interval
    ]
    others.sort(key=lambda lesson: -lesson.target.model.frames_since_update)
    return urgent + others[: math.ceil(targets / config.update_interval)]


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
        place = xywh_to_xyxy(self._tensor([box]))
        patch = crop_regions(image, [region])
        blocks = self._net.trunk(patch)
        guide = self._guide(image, box_xywh, self._net.modulate(blocks, place))
        if config.augment_first_frame:
            blocks = self._net.trunk(augment_patch(patch))
        features = self._net.convolve(blocks)
        memory = start_memory(
            *self._samples(features, [box] * len(features[0]), self._grid), config
        )
        looks = None
        if config.looks:
            looks = LookBook.start(pick(features, slice(0, 1)), place, config.looks)
        return Target(
            target_id=target_id,
            box_xywh=box_xywh,
            model=self._model(memory),
            guide=guide,
            looks=looks,
            motion=Motion.start(box_xywh),
            shape=Shape.start(*box_xywh[2:]),
            belief=Belief(),
            last_seen_box_xywh=box_xywh,
        )

    def resume(self, saved: SavedTarget, target_id: str) -> Target:
        """A target of another run: lost, of known size, anywhere in the frame."""
        config, device = self._config, self._net.device
        first, lasting = on_device(saved.first, device), on_device(saved.lasting, device)
        memory = GramMemory.restored(first, lasting, saved.frames, config.grid_size**2)
        book = None
        if saved.book is not None and config.looks:
            book = LookBook.restored(on_device(saved.book.looks, device), config.looks)
        box = (0.0, 0.0, *saved.size_wh)
        return Target(
            target_id=target_id,
            box_xywh=box,
            model=self.anchored(memory),
            guide=on_device(saved.guide, device),
            looks=book,
            motion=Motion.anywhere(*saved.size_wh),
            shape=Shape.start(*saved.size_wh).waited(1.0),
            belief=Belief(TrackState.LOST, 0.0, 0.0, usual=saved.usual),
            last_seen_box_xywh=box,
        )

    def learn(self, image: Tensor, lessons: Sequence[Lesson]) -> list[Model | SolverError]:
        """Add the current frame to the models of some targets and solve them again.

        One target's failure is its own: it stands in its place in the list.
        """
        with self._timer("update"):
            features, boxes, regions = self._views(image, lessons)
            x, y = self._samples(features, boxes, self._update_grid)
            for index, lesson in enumerate(lessons):
                one = slice(index, index + 1)
                weight = self._weights(lesson, regions[index]) if lesson.rival else None
                model = lesson.target.model
                frames = model.frames_since_update
                model.memory.add(x[one], y[one], frames, self._config, weight)
        with self._timer("solve"):
            return [self._solve_again(lesson.target.model) for lesson in lessons]

    def anchored(self, memory: SampleMemory) -> Model:
        """A model without its newest frames' part, which may have been somebody else's.

        Raises SolverError where the samples are not finite; then it has gone back to the first.
        """
        return self._model(memory, anchored=True)

    def _guide(self, image: Tensor, box_xywh: BoxXYWH, modulation: Features) -> Guide:
        config = self._config
        adapts = config.modulation_adaptation_iter > 0
        if not config.box_refinement or not (adapts or config.predictor_fit > 0):
            return self._net.guide(modulation)
        drawn = draw_boxes(self._net, image, box_xywh, config)
        if adapts:
            modulation = adapt_modulation(self._net, drawn, modulation, config)
        guide = self._net.guide(modulation)
        if config.predictor_fit > 0:
            guide = fit_last_layer(self._net, drawn, guide, config.predictor_fit)
        return guide

    def _model(self, memory: SampleMemory, anchored: bool = False) -> Model:
        try:
            regressor = memory.solve(self._config, anchored)
            if not bool(regressor.isfinite().all()):
                raise SolverError("expected a finite regressor; the samples' sums are not finite")
        except SolverError:
            memory.forget()
            raise
        return Model(memory, self._net.collapse(regressor))

    def _solve_again(self, model: Model) -> Model | SolverError:
        try:
            return self._model(model.memory)
        except SolverError as error:
            return error

    def _views(
        self, image: Tensor, lessons: Sequence[Lesson]
    ) -> tuple[Features, list[BoxXYWH], list[SearchRegion]]:
        """Head features (B, ...) to learn from, the boxes in those patches, and their regions.

        The features in which a target was found serve again if it is near enough to their middle.
        """
        regions = [lesson.find.region for lesson in lessons]
        boxes = [
            r.to_patch(lesson.target.box_xywh) for r, lesson in zip(regions, lessons, strict=True)
        ]
        views = [lesson.find.features for lesson in lessons]
        fresh = [index for index, box in enumerate(boxes) if not self._serves_again(box)]
        if fresh:
            new = [self._region(lessons[index].target.box_xywh) for index in fresh]
            features = self._net.convolve(self._net.trunk(crop_regions(image, new)))
            for row, (index, region) in enumerate(zip(fresh, new, strict=True)):
                views[index] = pick(features, slice(row, row + 1))
                boxes[index] = region.to_patch(lessons[index].target.box_xywh)
                regions[index] = region
        joined = (torch.cat([view[0] for view in views]), torch.cat([view[1] for view in views]))
        return joined, boxes, regions

    def _serves_again(self, box: BoxXYWH) -> bool:
        middle = self._config.patch_size / 2
        moved = math.hypot(box[0] + box[2] / 2 - middle, box[1] + box[3] / 2 - middle)
        return moved < self._config.reuse_features_within * math.sqrt(box[2] * box[3])

    def _weights(self, lesson: Lesson, region: SearchRegion) -> Tensor:
        """Weights (1, N) of the update's samples: more for those around the rival."""
        grid = self._update_grid
        x, y, w, h = region.to_patch((*lesson.find.second_xy, *lesson.target.box_xywh[2:]))
        points = grid.centres(self._net.device)
        near = ((points - y).abs() < h / 2)[:, None] & ((points - x).abs() < w / 2)
        return 1 + (self._config.hard_negative_weight - 1) * near.float().view(1, -1)

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
