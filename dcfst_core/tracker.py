"""The tracker: `init` on a box, `update` on every following frame; any number of targets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcfst_core.adaptation import adapt_modulation
from dcfst_core.boxes import BoxXYWH, check_box, clip_box, xywh_to_xyxy
from dcfst_core.config import TrackerConfig
from dcfst_core.embedding import Features, RegressorKernel
from dcfst_core.first_frame import augment_patch
from dcfst_core.inference import InferenceNet
from dcfst_core.iou_net import refine_boxes
from dcfst_core.memory import SampleMemory
from dcfst_core.model import DCFSTNet
from dcfst_core.patch import SearchRegion, check_frame, crop_regions, upload_frame
from dcfst_core.peaks import Peaks, find_peaks
from dcfst_core.samples import SampleGrid
from dcfst_core.search import choose_regions
from dcfst_core.target import Target, Track, TrackState
from dcfst_core.timing import StageTimer

DEFAULT_TARGET_ID = "target"


@dataclass(frozen=True)
class _Sighting:
    """One target's best find in the current frame, on the host."""

    score: float
    second_score: float
    box_xywh: BoxXYWH


class Tracker:
    """DCFST with ATOM's box refinement.

    `model`: a DCFSTNet; it is copied, so one model may serve several trackers. `device`: a torch
    device. Not thread-safe: one tracker belongs to one thread at a time.
    """

    def __init__(
        self,
        model: DCFSTNet,
        config: TrackerConfig | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.config = config or TrackerConfig.default()
        self.device = torch.device(device)
        self.model = model
        self.timer = StageTimer(self.device)
        self._net = InferenceNet(model, self.device, self.config.precision)
        self._grid = SampleGrid(
            self.config.grid_size, self.config.grid_spacing, self.config.patch_size
        )
        self._targets: dict[str, Target] = {}
        self._jitter = _proposal_jitter(self.config).to(self.device)

    @property
    def target_ids(self) -> tuple[str, ...]:
        """The targets held, in the order in which they were given."""
        return tuple(self._targets)

    def release(self, target_id: str = DEFAULT_TARGET_ID) -> None:
        """Forget one target; one that is not held is no error."""
        self._targets.pop(target_id, None)

    def reset(self) -> None:
        """Forget all targets."""
        self._targets.clear()

    @torch.no_grad()
    def init(
        self,
        frame_rgb: NDArray[np.uint8],
        box_xywh: Sequence[float],
        target_id: str = DEFAULT_TARGET_ID,
    ) -> Track:
        """Start to follow the object in a box; an id that is held already is replaced.

        `frame_rgb`: (H, W, 3) uint8. `box_xywh`: left, top, width, height in pixels.
        Raises FrameError or BoxError; then the targets held before are untouched.
        """
        frame = check_frame(frame_rgb)
        height, width = frame.shape[:2]
        box = check_box(box_xywh, width, height)
        region = self._region(box)
        image = upload_frame(frame, self.device)
        patch = crop_regions(image, [region])
        blocks = self._net.trunk(patch)
        box_xyxy = xywh_to_xyxy(self._tensor([region.to_patch(box)]))
        modulation = self._net.modulate(blocks, box_xyxy)
        if self.config.box_refinement and self.config.modulation_adaptation_iter:
            modulation = adapt_modulation(self._net, image, box, modulation, self.config)
        memory = SampleMemory(self.config.memory, self.config.first_frame_floor)
        if self.config.augment_first_frame:
            blocks = self._net.trunk(augment_patch(patch))
        features = self._net.convolve(blocks)
        memory.start(*self._samples(features, [region.to_patch(box)] * len(features[0])))
        kernel = self._net.collapse(memory.solve(self.config.regularization))
        target = Target(target_id, box, memory, kernel, modulation)
        self._targets[target_id] = target
        return target.track

    def update(self, frame_rgb: NDArray[np.uint8]) -> Track:
        """Find the one target held in the next frame (H, W, 3) uint8.

        Raises FrameError, or RuntimeError when none or several targets are held.
        """
        if len(self._targets) != 1:
            raise RuntimeError(
                f"expected exactly one target, {len(self._targets)} are held: call init() first, "
                "and update_all() for several targets"
            )
        return next(iter(self.update_all(frame_rgb).values()))

    @torch.no_grad()
    def update_all(
        self, frame_rgb: NDArray[np.uint8], only: Collection[str] | None = None
    ) -> dict[str, Track]:
        """Find all targets in the next frame, in one batched pass; returns tracks by target id.

        `only`: update just these ids, so that a target given late can catch up with the others.
        """
        frame = check_frame(frame_rgb)
        self.timer.reset()
        targets = [t for t in self._targets.values() if only is None or t.target_id in only]
        if not targets:
            return {}
        with self.timer("upload"):
            image = upload_frame(frame, self.device)
        sightings = self._find(image, targets)
        due = [
            target
            for target, sighting in zip(targets, sightings, strict=True)
            if self._take(target, sighting, image)
        ]
        if due:
            self._learn(image, due)
        return {target.target_id: target.track for target in targets}

    def _find(self, image: Tensor, targets: list[Target]) -> list[_Sighting]:
        """Localise and refine all targets; the only point where the host waits for the device."""
        config = self.config
        height, width = image.shape[1:]
        regions, owners = [], []
        for index, target in enumerate(targets):
            wanted = choose_regions(target, width, height, config)
            regions += wanted
            owners += [index] * len(wanted)
        with self.timer("crop"):
            patches = crop_regions(image, regions)
        with self.timer("trunk"):
            blocks = self._net.trunk(patches)
        with self.timer("head"):
            features = self._net.convolve(blocks)
        target_wh = self._tensor(
            [r.to_patch(targets[o].box_xywh)[2:] for r, o in zip(regions, owners, strict=True)]
        )
        with self.timer("localise"):
            kernel = RegressorKernel.stack([targets[owner].kernel for owner in owners])
            scores = self._net.score(features, kernel, self._grid, target_wh)
            peaks = find_peaks(
                scores, self._grid, target_wh, config.window_strength, config.subgrid_peak
            )
        if len(regions) > len(targets):
            best = _best_of_each(peaks.score.tolist(), owners)
            chosen = torch.tensor(best, device=self.device)
            regions = [regions[index] for index in best]
            blocks = (blocks[0][chosen], blocks[1][chosen])
            peaks = Peaks(peaks.score[chosen], peaks.centre_xy[chosen], peaks.second_score[chosen])
            target_wh = target_wh[chosen]
        with self.timer("refine"):
            boxes = self._refine(blocks, targets, peaks.centre_xy, target_wh)
        found = torch.cat((peaks.score[:, None], peaks.second_score[:, None], boxes), dim=1)
        return [
            _Sighting(row[0], row[1], region.to_image((*_corner(row[2:]), row[4], row[5])))
            for region, row in zip(regions, found.tolist(), strict=True)
        ]

    def _refine(
        self, blocks: Features, targets: list[Target], centre_xy: Tensor, target_wh: Tensor
    ) -> Tensor:
        """Boxes (B, 4; cxcywh, patch px) at the peaks, refined if the config says so."""
        config = self.config
        boxes = torch.cat((centre_xy, target_wh), dim=1)
        if not config.box_refinement:
            return boxes
        modulation = (
            torch.cat([target.modulation[0] for target in targets]),
            torch.cat([target.modulation[1] for target in targets]),
        )
        features = self._net.iou_features(blocks)
        shift, stretch = self._jitter.split(2, dim=1)
        proposals = torch.cat(
            (centre_xy[:, None] + shift * target_wh[:, None], target_wh[:, None] * stretch.exp()),
            dim=-1,
        )
        refined, predicted = refine_boxes(
            lambda xyxy: self._net.predict_iou(features, modulation, xyxy),
            proposals,
            config.box_refinement_iter,
            config.box_refinement_step_length,
        )
        best = predicted.topk(config.num_averaged, dim=1).indices
        found = refined.gather(1, best[..., None].expand(-1, -1, 4)).mean(dim=1)
        centre_xy = torch.lerp(centre_xy, found[:, :2], config.position_refinement)
        return torch.cat((centre_xy, found[:, 2:]), dim=1)

    def _take(self, target: Target, sighting: _Sighting, image: Tensor) -> bool:
        """Move the target to its sighting, if it is one; say whether its model is to learn."""
        config = self.config
        if not target.judge(sighting.score, config):
            return False
        height, width = image.shape[1:]
        target.box_xywh = _next_box(target.box_xywh, sighting.box_xywh, width, height, config)
        if target.state is not TrackState.TRACKING:
            return False
        target.frames_since_update += 1
        rival = sighting.second_score > config.hard_negative_threshold * sighting.score
        target.hard_negative = rival
        return rival or target.frames_since_update >= config.update_interval

    def _learn(self, image: Tensor, targets: list[Target]) -> None:
        """Add the current frame to the models of some targets and solve them again."""
        config = self.config
        with self.timer("update"):
            regions = [self._region(target.box_xywh) for target in targets]
            boxes = [
                region.to_patch(target.box_xywh)
                for region, target in zip(regions, targets, strict=True)
            ]
            features = self._net.convolve(self._net.trunk(crop_regions(image, regions)))
            x, y = self._samples(features, boxes)
            for index, target in enumerate(targets):
                rate = 1 - (1 - config.learning_rate) ** target.frames_since_update
                if target.hard_negative:
                    rate = max(rate, config.hard_negative_learning_rate)
                target.memory.add(x[index : index + 1], y[index : index + 1], rate)
                target.frames_since_update = 0
        with self.timer("solve"):
            for target in targets:
                target.kernel = self._net.collapse(target.memory.solve(config.regularization))

    def _samples(self, features: Features, boxes: Sequence[BoxXYWH]) -> tuple[Tensor, Tensor]:
        """Data matrices (B, N, D) and labels (B, N) of crops centred on their targets."""
        target_wh = self._tensor([box[2:] for box in boxes])
        x = self._net.embed(features, self._grid, target_wh)
        return x, self._grid.labels(target_wh, self.config.output_sigma_factor)

    def _region(self, box_xywh: BoxXYWH) -> SearchRegion:
        return SearchRegion.around(box_xywh, self.config.search_area_scale, self.config.patch_size)

    def _tensor(self, values: Sequence[Sequence[float]]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)


def _proposal_jitter(config: TrackerConfig) -> Tensor:
    """Offsets (num_proposals, 4) of the proposals, in box sizes and log sizes; the first is zero.

    Drawn once, so that equal frames give equal boxes whatever was tracked before.
    """
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(config.num_proposals, 4, generator=generator) * 2 - 1
    unit[0] = 0
    position, size = config.proposal_position_jitter, config.proposal_size_jitter
    return unit * torch.tensor([position, position, size, size])


def _best_of_each(scores: list[float], owners: list[int]) -> list[int]:
    best: dict[int, int] = {}
    for index, owner in enumerate(owners):
        if owner not in best or scores[index] > scores[best[owner]]:
            best[owner] = index
    return [best[owner] for owner in sorted(best)]


def _corner(cxcywh: list[float]) -> tuple[float, float]:
    return cxcywh[0] - cxcywh[2] / 2, cxcywh[1] - cxcywh[3] / 2


def _next_box(
    old: BoxXYWH, new: BoxXYWH, width: int, height: int, config: TrackerConfig
) -> BoxXYWH:
    """The new centre with a damped size, kept at least partly inside the image."""
    rate = config.size_update_rate
    x, y, w, h = new
    centre_x, centre_y = x + w / 2, y + h / 2
    w = min(max(old[2] + rate * (w - old[2]), 2.0), 2.0 * width)
    h = min(max(old[3] + rate * (h - old[3]), 2.0), 2.0 * height)
    return clip_box((centre_x - w / 2, centre_y - h / 2, w, h), width, height, margin=2.0)
