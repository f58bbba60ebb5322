"""From a frame to one find of each target: search regions, scores, peaks, boxes, evidence.

Two stages run on the device, each without waiting for it, so that each can be one CUDA graph:
`search` scores the regions of all targets, `examine` looks closer at the best find of each. What
is decided between and after them is decided on the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dcfst_core.inference.cuda_graph import GraphedStage
from dcfst_core.inference.iou_field import Guide
from dcfst_core.inference.net import InferenceNet
from dcfst_core.inference.timing import StageTimer
from dcfst_core.network.box_tensors import cxcywh_to_xyxy
from dcfst_core.network.embedding import Features, RegressorKernel
from dcfst_core.network.rows import join, pick
from dcfst_core.network.samples import SampleGrid
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.finds import Examined, Find, Found, read_finds
from dcfst_core.tracking.looks import Looks
from dcfst_core.tracking.patch import crop_regions, to_device
from dcfst_core.tracking.peaks import find_peaks
from dcfst_core.tracking.refinement import BoxRefiner, Refined
from dcfst_core.tracking.search import Plan
from dcfst_core.tracking.target import Target


class SearchInputs(NamedTuple):
    """One row for each search region."""

    patches: Tensor
    """(B, 3, S, S)"""
    kernel: RegressorKernel
    target_wh: Tensor
    """(B, 2) patch px."""
    window: Tensor
    """(B,) strength of the cosine window."""
    reach: Tensor | None
    """(B, 3), see `find_peaks`; None if no target is in doubt, which is to cost nothing."""


class ExamineInputs(NamedTuple):
    """One row for each target."""

    blocks: Features
    features: Features
    guide: Guide
    centre_xy: Tensor
    target_wh: Tensor
    looks: Looks | None
    factor: Tensor | None
    """(B, D, D), see `Model.factor`."""


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
        graphs = config.cuda_graphs and net.device.type == "cuda"
        self._graphed_search = GraphedStage(self.search_regions, graphs)
        self._graphed_examine = GraphedStage(self.examine_finds, graphs)

    def find(
        self, image: Tensor, targets: Sequence[Target], plans: Sequence[Plan]
    ) -> list[Find | None]:
        """The best find of each target in `image` (3, H, W); None: nothing within its reach.

        The host waits for the device once, and once more while a target is lost, whose regions'
        peaks are compared.
        """
        regions = [region for plan in plans for region in plan.regions]
        owners = [index for index, plan in enumerate(plans) for _ in plan.regions]
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
                join([targets[owner].model.kernel for owner in owners]),
                target_wh,
                to_device([self._config.window_strength] * len(owners), image.device),
                _reach(plans, image.device),
            )
        )
        if len(regions) > len(targets):
            best = choose(found.peaks.score.tolist(), owners)
            regions, sizes = [regions[i] for i in best], [sizes[i] for i in best]
            chosen = torch.tensor(best, device=image.device)
            found, target_wh = pick(found, chosen), target_wh[chosen]
        examined: Examined = examine(
            self._examine_inputs(found, target_wh, targets),
            cells=self._refine_boxes.window_cells(max(max(size) for size in sizes)),
        )
        return read_finds(found, examined, regions)

    def _examine_inputs(
        self, found: Found, target_wh: Tensor, targets: Sequence[Target]
    ) -> ExamineInputs:
        looks = [target.looks.looks for target in targets if target.looks is not None]
        factors = [target.model.factor for target in targets if target.model.factor is not None]
        return ExamineInputs(
            found.blocks,
            found.features,
            join([target.guide for target in targets]),
            found.peaks.centre_xy,
            target_wh,
            join(looks) if looks else None,
            torch.cat(factors) if len(factors) == len(targets) and looks else None,
        )

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
                inputs.window,
                self._config.subgrid_peak,
                inputs.reach,
                self._config.output_sigma_factor,
            )
        return Found(blocks, features, scores, peaks)

    def examine_finds(self, inputs: ExamineInputs, cells: int | None) -> Examined:
        """Refine the boxes at the peaks and compare them with what is known; on the device."""
        box = torch.cat((inputs.centre_xy, inputs.target_wh), dim=1)
        unknown = torch.full_like(box[:, 0], float("nan"))
        refined = Refined(box, unknown, torch.zeros_like(unknown))
        if self._config.box_refinement:
            with self._timer("refine"):
                refined = self._refine_boxes(
                    inputs.blocks, inputs.guide, inputs.centre_xy, inputs.target_wh, cells
                )
        ones = torch.ones_like(unknown)
        if inputs.looks is None:
            return Examined(refined, ones, ones, torch.zeros_like(ones), box[:, :0])
        with self._timer("compare"):
            boxes_xyxy = cxcywh_to_xyxy(refined.box_cxcywh)
            descriptor = inputs.looks.describe(inputs.features, boxes_xyxy)
            first, greatest = inputs.looks.likeness(descriptor)
            novelty = torch.zeros_like(ones)
            if inputs.factor is not None:
                samples = self._net.embed_boxes(inputs.features, cxcywh_to_xyxy(box))
                novelty = relative_variance(samples, inputs.factor, self._config.regularization)
            return Examined(refined, first, greatest, novelty, descriptor)


def choose(scores: Sequence[float], owners: Sequence[int]) -> list[int]:
    """For each owner in turn, the index of its highest score (-inf: nothing within reach)."""
    best: dict[int, int] = {}
    for index, owner in enumerate(owners):
        if owner not in best or scores[index] > scores[best[owner]]:
            best[owner] = index
    return [best[owner] for owner in sorted(best)]


def relative_variance(samples: Tensor, factor: Tensor, regularization: float) -> Tensor:
    """lambda z^T (G + lambda I)^-1 z / |z|^2 of samples z (B, D), in [0, 1].

    1: nothing like z was ever learned from; `factor`: (B, D, D), of G + lambda I.
    """
    solved = torch.linalg.solve_triangular(factor, samples[..., None], upper=False)
    share = solved.square().sum(dim=(1, 2)) / samples.square().sum(dim=1).clamp(min=1e-12)
    return (regularization * share).clamp(0, 1)


def _reach(plans: Sequence[Plan], device: torch.device) -> Tensor | None:
    """Centres and radii (B, 3), patch px, of the circles in which targets in doubt have to be."""
    if all(plan.reach == float("inf") for plan in plans):
        return None
    rows = []
    for plan in plans:
        for region in plan.regions:
            x, y, _, _ = region.to_patch((*plan.expected_xy, 0.0, 0.0))
            rows.append((x, y, plan.reach * region.scale))
    return to_device(rows, device)
