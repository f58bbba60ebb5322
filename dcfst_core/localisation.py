"""From a frame to one sighting of each target: search regions, scores, peaks, refined boxes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dcfst_core.appearance import compare
from dcfst_core.boxes import BoxXYWH, cxcywh_to_xyxy
from dcfst_core.config import TrackerConfig
from dcfst_core.embedding import Features, RegressorKernel
from dcfst_core.inference import InferenceNet
from dcfst_core.patch import SearchRegion, crop_regions
from dcfst_core.peaks import Peaks, find_peaks
from dcfst_core.refinement import BoxRefiner
from dcfst_core.samples import SampleGrid
from dcfst_core.search import choose_regions
from dcfst_core.target import Signals, Target, TrackState
from dcfst_core.timing import StageTimer


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

    def find(self, image: Tensor, targets: list[Target]) -> list[Sighting]:
        """Localise and refine targets in `image` (3, H, W); the host waits for the device once."""
        config, timer = self._config, self._timer
        height, width = image.shape[1:]
        regions, owners = [], []
        for index, target in enumerate(targets):
            wanted = choose_regions(target, width, height, config)
            regions += wanted
            owners += [index] * len(wanted)
        with timer("crop"):
            patches = crop_regions(image, regions)
        with timer("trunk"):
            blocks = self._net.trunk(patches)
        with timer("head"):
            features = self._net.convolve(blocks)
        sizes = [
            region.to_patch(targets[owner].box_xywh)[2:]
            for region, owner in zip(regions, owners, strict=True)
        ]
        target_wh = torch.tensor(sizes, dtype=torch.float32, device=image.device)
        with timer("localise"):
            kernel = RegressorKernel.stack([targets[owner].kernel for owner in owners])
            scores = self._net.score(features, kernel, self._grid, target_wh)
            window = torch.tensor(
                [self._window_strength(targets[owner]) for owner in owners], device=image.device
            )
            reach = self._reach([targets[owner] for owner in owners], regions, image.device)
            peaks = find_peaks(scores, self._grid, target_wh, window, config.subgrid_peak, reach)
        if len(regions) > len(targets):
            best = _best_of_each(peaks.score.tolist(), owners)
            chosen = torch.tensor(best, device=image.device)
            regions = [regions[index] for index in best]
            blocks = (blocks[0][chosen], blocks[1][chosen])
            features = (features[0][chosen], features[1][chosen])
            peaks = Peaks(peaks.score[chosen], peaks.centre_xy[chosen], peaks.second_score[chosen])
            target_wh = target_wh[chosen]
        with timer("refine"):
            longest_side = max(max(size) for size in sizes)
            boxes, ious = self._refine(blocks, targets, peaks.centre_xy, target_wh, longest_side)
        with timer("compare"):
            remembered = [target.appearances for target in targets]
            descriptors, similarity = compare(remembered, features, cxcywh_to_xyxy(boxes))
        signals = torch.stack((peaks.score, peaks.second_score, ious, similarity), dim=1)
        rows = torch.cat((signals, boxes), dim=1).tolist()
        return [
            Sighting(
                signals=_signals(target, *row[:4]),
                box_xywh=region.to_image((row[4] - row[6] / 2, row[5] - row[7] / 2, *row[6:])),
                region=region,
                features=(features[0][index : index + 1], features[1][index : index + 1]),
                descriptor=descriptors[index],
            )
            for index, (target, region, row) in enumerate(zip(targets, regions, rows, strict=True))
        ]

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
        return torch.tensor(rows, dtype=torch.float32, device=device)

    def _refine(
        self,
        blocks: Features,
        targets: list[Target],
        centre_xy: Tensor,
        target_wh: Tensor,
        longest_side: float,
    ) -> tuple[Tensor, Tensor]:
        """Boxes (B, 4; cxcywh, patch px) at the peaks, refined if the config says so, and IoUs."""
        if not self._config.box_refinement:
            unknown = torch.full_like(centre_xy[:, 0], float("nan"))
            return torch.cat((centre_xy, target_wh), dim=1), unknown
        modulation = (
            torch.cat([target.modulation[0] for target in targets]),
            torch.cat([target.modulation[1] for target in targets]),
        )
        return self._refine_boxes(blocks, modulation, centre_xy, target_wh, longest_side)


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
