"""From a frame to one sighting of each target: search regions, scores, peaks, refined boxes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dcfst_core.boxes import BoxXYWH
from dcfst_core.inference.cuda_graph import Function, GraphedStage
from dcfst_core.inference.net import InferenceNet
from dcfst_core.inference.timing import StageTimer
from dcfst_core.network.box_tensors import cxcywh_to_xyxy
from dcfst_core.network.embedding import Features, RegressorKernel
from dcfst_core.network.samples import SampleGrid
from dcfst_core.track import Signals, TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.looks import Looks
from dcfst_core.tracking.patch import SearchRegion, crop_regions, to_device
from dcfst_core.tracking.peaks import find_peaks
from dcfst_core.tracking.refinement import BoxRefiner
from dcfst_core.tracking.search import choose_regions
from dcfst_core.tracking.target import Target


@dataclass(frozen=True)
class Sighting:
    """One target's best find in the current frame; numbers are on the host."""

    signals: Signals
    box_xywh: BoxXYWH
    """Image pixels."""
    region: SearchRegion
    """Where it was found."""
    features: Features
    """Head features (1, ...) of that region."""
    descriptor: Tensor | None
    """What was found looks like this (1, F); None where no appearances are remembered."""


class _Found(NamedTuple):
    """What the search of regions found, one row each: trunk and head features, and score peaks."""

    block3: Tensor
    block4: Tensor
    features3: Tensor
    features4: Tensor
    peak: Tensor
    centre_xy: Tensor
    second_peak: Tensor


class Localiser:
    """Finds all targets of one frame in one batch."""

    def __init__(
        self,
        net: InferenceNet,
        config: TrackerConfig,
        grid: SampleGrid,
        timer: StageTimer,
    ) -> None:
        self._net = net
        self._config = config
        self._grid = grid
        self._timer = timer
        self._refine_boxes = BoxRefiner(net, config, net.device)
        graphs = config.cuda_graphs and net.device.type == "cuda"
        self._search = GraphedStage(self._search_regions, graphs)
        self._examine = GraphedStage(self._examine_finds, graphs)

    def find(self, image: Tensor, targets: list[Target]) -> list[Sighting]:
        """Localise and refine targets in `image` (3, H, W).

        The host waits for the device once, and once more while a target is lost, whose regions'
        peaks are compared.
        """
        height, width = image.shape[1:]
        regions, owners = [], []
        for index, target in enumerate(targets):
            wanted = choose_regions(target, width, height, self._config)
            regions += wanted
            owners += [index] * len(wanted)
        with self._timer("crop"):
            patches = crop_regions(image, regions)
        # Stages are timed one by one, which a graph of several cannot be.
        timed = self._timer.enabled
        search: Function = self._search_regions if timed else self._search
        examine: Function = self._examine_finds if timed else self._examine
        kernel = RegressorKernel.stack([targets[owner].kernel for owner in owners])
        sizes = [
            region.to_patch(targets[owner].box_xywh)[2:]
            for region, owner in zip(regions, owners, strict=True)
        ]
        window = [self._window_strength(targets[owner]) for owner in owners]
        target_wh = to_device(sizes, image.device)
        found = _Found(
            *search(
                patches,
                *(kernel.block3, kernel.block4, kernel.offset),
                target_wh,
                to_device(window, image.device),
                self._reach([targets[owner] for owner in owners], regions, image.device),
            )
        )
        if len(regions) > len(targets):
            best = _best_of_each(found.peak.tolist(), owners)
            chosen = torch.tensor(best, device=image.device)
            regions = [regions[index] for index in best]
            found = _Found(*(part[chosen] for part in found))
            target_wh = target_wh[chosen]
        looks = [target.appearances.looks for target in targets if target.appearances is not None]
        joined = Looks.stack(looks) if looks else None
        boxes, ious, similarity, descriptors = examine(
            *(found.block3, found.block4, found.features3, found.features4),
            *(torch.cat(parts) for parts in zip(*(t.modulation for t in targets), strict=True)),
            found.centre_xy,
            target_wh,
            *((joined.mean3, joined.mean4, joined.known) if joined else (None, None, None)),
            cells=self._refine_boxes.window_cells(max(max(size) for size in sizes)),
        )
        signals = torch.stack((found.peak, found.second_peak, ious, similarity), dim=1)
        rows = torch.cat((signals, boxes), dim=1).tolist()
        views = zip(found.features3.split(1), found.features4.split(1), strict=True)
        return [
            Sighting(
                signals=_signals(target, *row[:4]),
                box_xywh=region.to_image((row[4] - row[6] / 2, row[5] - row[7] / 2, *row[6:])),
                region=region,
                features=features,
                descriptor=descriptor if looks else None,
            )
            for target, region, row, features, descriptor in zip(
                targets, regions, rows, views, descriptors.split(1), strict=True
            )
        ]

    def _search_regions(
        self,
        patches: Tensor,
        kernel3: Tensor,
        kernel4: Tensor,
        offset: Tensor,
        target_wh: Tensor,
        window: Tensor,
        reach: Tensor | None,
    ) -> _Found:
        """What is in search regions.

        `patches`: (B, 3, S, S); the kernel's parts as in `RegressorKernel`; the others as in
        `find_peaks`. All on the device, so that it may be captured; so is `_examine_finds`.
        """
        timer = self._timer
        with timer("trunk"):
            blocks = self._net.trunk(patches)
        with timer("head"):
            features = self._net.convolve(blocks)
        with timer("localise"):
            kernel = RegressorKernel(kernel3, kernel4, offset)
            scores = self._net.score(features, kernel, self._grid, target_wh)
            peaks = find_peaks(
                scores, self._grid, target_wh, window, self._config.subgrid_peak, reach
            )
        return _Found(*blocks, *features, peaks.score, peaks.centre_xy, peaks.second_score)

    def _examine_finds(
        self,
        block3: Tensor,
        block4: Tensor,
        features3: Tensor,
        features4: Tensor,
        modulation3: Tensor,
        modulation4: Tensor,
        centre_xy: Tensor,
        target_wh: Tensor,
        mean3: Tensor | None,
        mean4: Tensor | None,
        known: Tensor | None,
        cells: int | None,
    ) -> tuple[Tensor, ...]:
        """Boxes (B, 4; cxcywh, patch px) at the peaks, and what speaks for them.

        That is the predicted IoU (B,; NaN without refinement), the similarity (B,) to remembered
        looks (1 without), and the descriptors (B, F) of what was found.
        """
        boxes = torch.cat((centre_xy, target_wh), dim=1)
        ious = torch.full_like(centre_xy[:, 0], float("nan"))
        if self._config.box_refinement:
            with self._timer("refine"):
                modulation = (modulation3, modulation4)
                boxes, ious = self._refine_boxes(
                    (block3, block4), modulation, centre_xy, target_wh, cells
                )
        if mean3 is None or mean4 is None or known is None:
            return boxes, ious, torch.ones_like(ious), boxes[:, :0]
        with self._timer("compare"):
            looks = Looks(mean3, mean4, known)
            descriptors = looks.describe((features3, features4), cxcywh_to_xyxy(boxes))
            return boxes, ious, looks.similarity(descriptors), descriptors

    def _window_strength(self, target: Target) -> float:
        """A target in doubt is likely to be hidden: what looks like it elsewhere is not it."""
        config = self._config
        if target.state is TrackState.UNCERTAIN:
            return max(config.uncertain_window_strength, config.window_strength)
        return config.window_strength

    def _reach(
        self, targets: list[Target], regions: list[SearchRegion], device: torch.device
    ) -> Tensor | None:
        """Centres and radii (B, 3), patch px, of the circles in which targets in doubt have to be.

        None if no target is in doubt: the usual case, which is to cost nothing.
        """
        radii = [target.reach(self._config) for target in targets]
        if all(math.isinf(radius) for radius in radii):
            return None
        rows = []
        for target, region, radius in zip(targets, regions, radii, strict=True):
            x, y, _, _ = region.to_patch((*target.motion.expected(), 0.0, 0.0))
            rows.append((x, y, radius * region.scale))
        return to_device(rows, device)


def _signals(
    target: Target, peak: float, second_peak: float, predicted_iou: float, similarity: float
) -> Signals:
    likeness = 1.0
    if target.appearances is not None:
        likeness = target.appearances.likeness(similarity)
    return Signals(peak, second_peak, predicted_iou, similarity, likeness)


def _best_of_each(scores: list[float], owners: list[int]) -> list[int]:
    """For each owner in turn, the index of its highest score."""
    best: dict[int, int] = {}
    for index, owner in enumerate(owners):
        if owner not in best or scores[index] > scores[best[owner]]:
            best[owner] = index
    return [best[owner] for owner in sorted(best)]
