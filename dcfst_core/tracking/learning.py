"""What a target's model learns: its first frame, then frames in which it was surely seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from dcfst_core.boxes import BoxXYWH
from dcfst_core.errors import SolverError
from dcfst_core.inference.iou_field import Guide
from dcfst_core.inference.net import InferenceNet
from dcfst_core.inference.timing import StageTimer
from dcfst_core.network.box_tensors import xywh_to_xyxy
from dcfst_core.network.embedding import Features
from dcfst_core.network.rows import join, on_device, pick
from dcfst_core.network.samples import SampleGrid
from dcfst_core.track import TrackState
from dcfst_core.tracking.colours import palettes
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.first_frame import (
    adapt_modulation,
    augment_patch,
    draw_boxes,
    fit_last_layer,
)
from dcfst_core.tracking.judgement import Belief
from dcfst_core.tracking.lessons import Lesson
from dcfst_core.tracking.looks import LookBook
from dcfst_core.tracking.memory import GramMemory, SampleMemory, start_memory
from dcfst_core.tracking.motion import Motion
from dcfst_core.tracking.patch import SearchRegion, crop_regions, to_device
from dcfst_core.tracking.saved_target import SavedTarget
from dcfst_core.tracking.shape import Shape
from dcfst_core.tracking.target import Model, Target, View

# Of a lesson, each with a frame of its own where it is spread: view, samples, solution.
_PARTS = 3


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
        grid = self._grid
        if config.augment_first_frame:
            # Copies say much of the same again: of each, as few samples as of a later frame.
            blocks, grid = self._net.trunk(augment_patch(patch)), self._update_grid
        features = self._net.convolve(blocks)
        x, y = self._samples(features, [box] * len(features[0]), grid)
        memory = start_memory(x, y, config, samples=self._grid.size**2)
        looks = None
        if config.looks:
            looks = LookBook.start(pick(features, slice(0, 1)), place, config.looks)
        return Target(
            target_id=target_id,
            box_xywh=box_xywh,
            model=self._model(memory),
            guide=guide,
            looks=looks,
            palette=palettes(patch, place) if config.colours else None,
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
        usual = replace(saved.usual, doubted=True)
        return Target(
            target_id=target_id,
            box_xywh=box,
            model=self.anchored(memory),
            guide=on_device(saved.guide, device),
            looks=book,
            palette=saved.palette.to(device) if saved.palette is not None else None,
            motion=Motion.anywhere(*saved.size_wh),
            shape=Shape.start(*saved.size_wh).expected(1.0),
            belief=Belief(TrackState.LOST, 0.0, 0.0, usual=usual, awaited=True),
            last_seen_box_xywh=box,
        )

    def learn(
        self, image: Tensor, targets: Sequence[Target], lessons: Sequence[Lesson]
    ) -> dict[str, SolverError]:
        """Take up lessons of the current frame, and go one part on with each lesson under way.

        A lesson's parts are a view of the target, its samples in the memory, and the regressor
        solved anew. Each has its frame, unless the update is not to be spread; a view for which
        the search's features serve again costs nothing, so its samples are taken at once.
        Returns what failed, by target id; one target's failure is its own.
        """
        held = {target.target_id: target.model for target in targets}
        unsolved = {name: model for name, model in held.items() if model.unsolved}
        viewed = {name: model for name, model in held.items() if model.view is not None}
        new = {lesson.target.target_id: lesson.target.model for lesson in lessons}
        with self._timer("update"):
            crops = self._take_views(image, lessons)
            spread = self._config.spread_updates and self._config.update_interval >= _PARTS
            whole = {lesson.target.target_id for lesson in lessons if lesson.rival or not spread}
            at_once = {name: model for name, model in new.items() if name in whole}
            ready = {name: model for name, model in new.items() if name not in crops}
            self._remember([*(viewed | ready | at_once).values()])
        with self._timer("solve"):
            return self._solve_again(unsolved | at_once)

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

    def _solve_again(self, models: dict[str, Model]) -> dict[str, SolverError]:
        failed = {}
        for name, model in models.items():
            model.unsolved = False
            try:
                model.kernel = self._model(model.memory).kernel
            except SolverError as error:
                model.view = None
                failed[name] = error
        return failed

    def _take_views(self, image: Tensor, lessons: Sequence[Lesson]) -> set[str]:
        """Give models the views of their lessons; returns the targets that took a new crop.

        The features in which a target was found serve again if it is near enough to their middle.
        """
        near = self._config.reuse_features_within
        fresh = [lesson for lesson in lessons if not lesson.near_middle(near)]
        crops: dict[str, tuple[SearchRegion, Features]] = {}
        if fresh:
            regions = [self._region(lesson.target.box_xywh) for lesson in fresh]
            features = self._net.convolve(self._net.trunk(crop_regions(image, regions)))
            for row, (lesson, region) in enumerate(zip(fresh, regions, strict=True)):
                crops[lesson.target.target_id] = region, pick(features, slice(row, row + 1))
        for lesson in lessons:
            target, model = lesson.target, lesson.target.model
            found = lesson.find.region, lesson.find.features
            region, features = crops.get(target.target_id, found)
            model.view = View(
                features,
                region.to_patch(target.box_xywh),
                model.frames_since_update,
                self._weights(lesson, region) if lesson.rival else None,
            )
            model.frames_since_update = 0
        return set(crops)

    def _remember(self, models: Sequence[Model]) -> None:
        """Put the samples of the models' views into their memories."""
        views = [model.view for model in models if model.view is not None]
        if not views:
            return
        features = join([view.features for view in views])
        boxes = [view.box_in_patch for view in views]
        x, y = self._samples(features, boxes, self._update_grid)
        for index, (model, view) in enumerate(zip(models, views, strict=True)):
            one = slice(index, index + 1)
            model.memory.add(x[one], y[one], view.frames, self._config, view.weight)
            model.view, model.unsolved = None, True

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
