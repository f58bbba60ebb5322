"""From a frame to what was found of each target: search regions, scores, peaks, boxes.

Two stages run on the device, each without waiting for it, so that each can be one CUDA graph:
`search` scores the regions of all targets, `examine` looks closer at the best find of each region.
What is decided after them is decided on the host.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dcfst_core.inference.cuda_graph import GraphedStage
from dcfst_core.inference.iou_field import Guide
from dcfst_core.inference.net import InferenceNet
from dcfst_core.inference.timing import StageTimer
from dcfst_core.network.box_tensors import cxcywh_to_xyxy
from dcfst_core.network.embedding import Features, RegressorKernel
from dcfst_core.network.rows import join
from dcfst_core.network.samples import SampleGrid
from dcfst_core.tracking.colours import likeness, palettes
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.finds import Examined, Find, Found, read_finds
from dcfst_core.tracking.looks import Likeness, Looks
from dcfst_core.tracking.patch import SearchRegion, crop_regions, to_device
from dcfst_core.tracking.peaks import find_peaks
from dcfst_core.tracking.refinement import BoxRefiner, Cells, Refined
from dcfst_core.tracking.search import Plan
from dcfst_core.tracking.target import Target
from dcfst_core.tracking.windows import border_window, course_window


class SearchInputs(NamedTuple):
    """One row for each search region."""

    patches: Tensor
    """(B, 3, S, S)"""
    kernel: RegressorKernel
    target_wh: Tensor
    """(B, 2) patch px."""
    course: Tensor
    """(B, 3) where the target should be and how far from there it is wont to be, see
    `course_window`."""
    reach: Tensor | None
    """(B, 3), see `find_peaks`; None if no target is in doubt, which is to cost nothing."""


class ExamineInputs(NamedTuple):
    """One row for each search region."""

    blocks: Features
    features: Features
    guide: Guide
    centre_xy: Tensor
    second_xy: Tensor
    """(B, 2) of the second peak."""
    target_wh: Tensor
    looks: Looks | None
    patches: Tensor
    palette: Tensor | None
    """(B, BINS^3) colours that are known of the targets."""


class Localiser:
    """Finds all targets of one frame in one batch."""

    def __init__(
        self, net: InferenceNet, config: TrackerConfig, grid: SampleGrid, timer: StageTimer
    ) -> None:
        self._net = net
        self._config = config
        self._grid = grid
        self._timer = timer
        self._refine_boxes = BoxRefiner(net, config, net.device)
        self._border = border_window(grid.size, config.window_strength, net.device)
        graphs = config.cuda_graphs and net.device.type == "cuda"
        self._graphed_search = GraphedStage(self.search_regions, graphs)
        self._graphed_examine = GraphedStage(self.examine_finds, graphs)

    def find(
        self, image: Tensor, targets: Sequence[Target], plans: Sequence[Plan]
    ) -> list[list[Find]]:
        """What was found of each target in `image` (3, H, W): one find a region, or none.

        The host waits for the device once.
        """
        regions = [region for plan in plans for region in plan.looked_at]
        owners = [index for index, plan in enumerate(plans) for _ in plan.looked_at]
        held = [targets[owner] for owner in owners]
        with self._timer("crop"):
            patches = crop_regions(image, regions)
        # Of one size in all of a target's patches: in a zoomed region it is looked for zoomed.
        sizes = [plans[o].regions[0].to_patch(targets[o].box_xywh)[2:] for o in owners]
        target_wh = to_device(sizes, image.device)
        # Stages are timed one by one, which a graph of several cannot be.
        timed = self._timer.enabled
        search = self.search_regions if timed else self._graphed_search
        examine = self.examine_finds if timed else self._graphed_examine
        found: Found = search(
            SearchInputs(
                patches,
                join([target.model.kernel for target in held]),
                target_wh,
                _course(plans, image.device),
                _reach(plans, image.device),
            )
        )
        looks = [target.looks.looks for target in held if target.looks is not None]
        known = [target.palette for target in held if target.palette is not None]
        examined: Examined = examine(
            ExamineInputs(
                found.blocks,
                found.features,
                join([target.guide for target in held]),
                found.peaks.centre_xy,
                found.peaks.second_xy,
                target_wh,
                join(looks) if looks else None,
                patches,
                torch.cat(known) if known else None,
            ),
            cells=self._refine_boxes.window_cells(max(max(size) for size in sizes)),
        )
        finds: list[list[Find]] = [[] for _ in targets]
        for owner, find in zip(owners, read_finds(found, examined, regions), strict=True):
            if find is not None:
                finds[owner].append(find)
        return finds

    def search_regions(self, inputs: SearchInputs) -> Found:
        """Score search regions and find the peaks; all on the device."""
        timer = self._timer
        with timer("trunk"):
            blocks = self._net.trunk(inputs.patches)
        with timer("head"):
            features = self._net.convolve(blocks)
        with timer("localise"):
            scores = self._net.score(features, inputs.kernel, self._grid, inputs.target_wh)
            peaks = find_peaks(
                scores,
                self._grid,
                inputs.target_wh,
                self._config.subgrid_peak,
                self._window(inputs.course),
                inputs.reach,
            )
        return Found(blocks, features, scores, peaks)

    def _window(self, course: Tensor) -> Tensor:
        strength = self._config.motion_window
        if strength == 0:
            return self._border
        return self._border * course_window(self._grid, course, strength)

    def examine_finds(self, inputs: ExamineInputs, cells: Cells | None) -> Examined:
        """Refine the boxes at the peaks and compare them with what is known; on the device."""
        box = torch.cat((inputs.centre_xy, inputs.target_wh), dim=1)
        unknown = torch.full_like(box[:, 0], float("nan"))
        refined = Refined(box, unknown, torch.zeros_like(unknown))
        if self._config.box_refinement:
            with self._timer("refine"):
                refined = self._refine_boxes(
                    inputs.blocks, inputs.guide, inputs.centre_xy, inputs.target_wh, cells
                )
        with self._timer("compare"):
            return self._compare(inputs, refined)

    def _compare(self, inputs: ExamineInputs, refined: Refined) -> Examined:
        """Looks and colours of the boxes beside those that are known of the targets."""
        boxes_xyxy = cxcywh_to_xyxy(refined.box_cxcywh)
        alike = torch.ones_like(boxes_xyxy[:, 0])
        looks = Likeness(alike, alike, torch.zeros_like(alike))
        descriptor = other = palette = boxes_xyxy[:, :0]
        if inputs.looks is not None:
            second = torch.cat((inputs.second_xy, refined.box_cxcywh[:, 2:]), dim=1)
            both = torch.stack((boxes_xyxy, cxcywh_to_xyxy(second)), dim=1)
            descriptor, other = inputs.looks.describe(inputs.features, both).unbind(dim=1)
            looks = inputs.looks.likeness(descriptor)
        if inputs.palette is not None:
            palette = palettes(inputs.patches, boxes_xyxy)
            alike = likeness(inputs.palette, palette)
        return Examined(refined, looks, descriptor, other, alike, palette)


def _course(plans: Sequence[Plan], device: torch.device) -> Tensor:
    """Places and deviations (B, 3), patch px, of where targets should be."""
    return _circles(plans, lambda plan, region: plan.spread, device)


def _reach(plans: Sequence[Plan], device: torch.device) -> Tensor | None:
    """Centres and radii (B, 3), patch px, of the circles in which targets in doubt have to be."""
    if all(plan.reach == math.inf for plan in plans):
        return None
    return _circles(
        plans, lambda plan, region: math.inf if region is plan.beyond else plan.reach, device
    )


def _circles(
    plans: Sequence[Plan], radius: Callable[[Plan, SearchRegion], float], device: torch.device
) -> Tensor:
    """Circles (B, 3) around where targets should be, in the patch px of each region.

    `radius`: of a region's circle, image px.
    """
    rows = []
    for plan in plans:
        for region in plan.looked_at:
            x, y, _, _ = region.to_patch((*plan.expected_xy, 0.0, 0.0))
            rows.append((x, y, radius(plan, region) * region.scale))
    return to_device(rows, device)
