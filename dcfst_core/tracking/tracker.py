"""The tracker: `init` on a box, `update` on every following frame; any number of targets."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcfst_core.boxes import BoxXYWH, check_box, clip_box
from dcfst_core.inference.net import InferenceNet
from dcfst_core.inference.timing import StageTimer
from dcfst_core.network.model import DCFSTNet
from dcfst_core.network.samples import SampleGrid
from dcfst_core.track import Track, TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.learning import Learner
from dcfst_core.tracking.localisation import Localiser, Sighting
from dcfst_core.tracking.patch import check_frame, upload_frame
from dcfst_core.tracking.target import Target

DEFAULT_TARGET_ID = "target"

_FIXED = (
    *("precision", "memory", "appearances", "patch_size"),
    *("grid_size", "grid_spacing", "update_grid_stride"),
)


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
        config = config or TrackerConfig.default()
        self.device = torch.device(device)
        self.model = model
        self.timer = StageTimer(self.device)
        self._net = self._make_net(model, config)
        self._targets: dict[str, Target] = {}
        self._build(config)

    def _make_net(self, model: DCFSTNet, config: TrackerConfig) -> InferenceNet:
        return InferenceNet(model, self.device, config.precision)

    def _build(self, config: TrackerConfig) -> None:
        grid = SampleGrid(config.grid_size, config.grid_spacing, config.patch_size)
        self._config = config
        self._localiser = Localiser(self._net, config, grid, self.timer)
        self._learner = Learner(self._net, config, grid, self.timer)

    @property
    def config(self) -> TrackerConfig:
        """The settings. Others may be given between two frames, also while targets are held.

        ValueError for a change of what the network and the remembered samples were made for:
        `precision`, `memory`, `appearances`, the patch and the sample grid.
        """
        return self._config

    @config.setter
    def config(self, config: TrackerConfig) -> None:
        changed = [name for name in _FIXED if getattr(config, name) != getattr(self._config, name)]
        if changed:
            raise ValueError(
                f"expected {', '.join(changed)} as before: make a new Tracker instead"
            )
        self._build(config)

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
        image = upload_frame(frame, self.device)
        target = self._learner.start(image, box, target_id)
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
        sightings = self._localiser.find(image, targets)
        due = [
            (target, sighting)
            for target, sighting in zip(targets, sightings, strict=True)
            if self._take(target, sighting, image)
        ]
        if due:
            self._learner.learn(image, self._spread(due, len(targets)))
        return {target.target_id: target.track for target in targets}

    def _spread(
        self, due: list[tuple[Target, Sighting]], targets: int
    ) -> list[tuple[Target, Sighting]]:
        """What is learned in this frame; what can wait a little waits for the next ones.

        Targets that were given together would all be due together, and that frame would be late.
        """
        urgent = [pair for pair in due if pair[0].urgent]
        others = [pair for pair in due if not pair[0].urgent]
        others.sort(key=lambda pair: -pair[0].frames_since_update)
        return urgent + others[: math.ceil(targets / self.config.update_interval)]

    def _take(self, target: Target, sighting: Sighting, image: Tensor) -> bool:
        """Move the target to its sighting, if it is one; say whether its model is to learn."""
        config = self.config
        if target.judge(sighting.signals, config, sighting.box_xywh):
            height, width = image.shape[1:]
            # In doubt the size is kept: what is found may be something else, of another size.
            rate = config.size_update_rate if target.state is TrackState.TRACKING else 0.0
            target.box_xywh = _next_box(target.box_xywh, sighting.box_xywh, width, height, rate)
        if target.state is not TrackState.TRACKING:
            target.motion.miss()
            return False
        target.motion.see(target.box_xywh)
        if target.appearances is not None:
            target.appearances.note(sighting.signals.similarity)
        return target.needs_update(config)


def _next_box(old: BoxXYWH, new: BoxXYWH, width: int, height: int, rate: float) -> BoxXYWH:
    """The new centre with `rate` of the new size, kept at least partly inside the image."""
    x, y, w, h = new
    centre_x, centre_y = x + w / 2, y + h / 2
    w = min(max(old[2] + rate * (w - old[2]), 2.0), 2.0 * width)
    h = min(max(old[3] + rate * (h - old[3]), 2.0), 2.0 * height)
    return clip_box((centre_x - w / 2, centre_y - h / 2, w, h), width, height, margin=2.0)
