"""The tracker: `init` on a box, `update` on every following frame; any number of targets.

A frame's way: carry (what moved with the camera, what grew) -> plan (where to look) -> search
(scores) -> examine (boxes, evidence) -> choose (one find a target) -> judge (state, permissions)
-> look around, if it was missed -> move -> learn.
Targets are written only here, and by `carry`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcfst_core.boxes import check_box
from dcfst_core.errors import FrameError, SolverError, TargetError
from dcfst_core.inference.net import InferenceNet, make_net
from dcfst_core.inference.timing import StageTimer
from dcfst_core.network.model import DCFSTNet
from dcfst_core.network.samples import SampleGrid
from dcfst_core.track import Track, TrackState
from dcfst_core.tracking.carry import carry, close_up, remember
from dcfst_core.tracking.colours import learned
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.judgement import is_sure
from dcfst_core.tracking.learning import Learner
from dcfst_core.tracking.lessons import Lesson, due_lessons, has_rival, with_look, with_others
from dcfst_core.tracking.localisation import Localiser
from dcfst_core.tracking.move import next_box, next_rivals, next_shape
from dcfst_core.tracking.options import check_change
from dcfst_core.tracking.patch import check_frame, upload_frame
from dcfst_core.tracking.saved_target import (
    SavedTarget,
    capture,
    fingerprint,
    read_target,
    write_target,
)
from dcfst_core.tracking.search import Plan, make_plan
from dcfst_core.tracking.sighting import Sighting, sight
from dcfst_core.tracking.target import Target, selected
from dcfst_core.tracking.verifier import Verifier

DEFAULT_TARGET_ID = "target"


class Tracker:
    """DCFST with ATOM's box refinement.

    `model`: a DCFSTNet; it is copied, so one model may serve several trackers. `device`: a torch
    device. Not thread-safe: one tracker belongs to one thread at a time.
    """

    keep_score_maps = False
    """Whether tracks carry a `ScoreMap`: costs a copy from the device in every frame."""

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
        self.verifier = Verifier.from_metadata(model.metadata, config.patch_size)
        self._net = self._make_net(model, config)
        self._targets: dict[str, Target] = {}
        self._frame_size: tuple[int, int] | None = None
        self._build(config)

    def _make_net(self, model: DCFSTNet, config: TrackerConfig) -> InferenceNet:
        settings = config.precision, config.int8_file, config.patch_size
        return make_net(model, self.device, *settings)

    def _build(self, config: TrackerConfig) -> None:
        self._config = config
        self._grid = SampleGrid(config.grid_size, config.grid_spacing, config.patch_size)
        self._localiser = Localiser(self._net, config, self._grid, self.timer)
        self._learner = Learner(self._net, config, self._grid, self.timer)

    @property
    def config(self) -> TrackerConfig:
        """The settings. Others may be given between two frames, also while targets are held.

        ValueError for a change of a field whose option is not `live`.
        """
        return self._config

    @config.setter
    def config(self, config: TrackerConfig) -> None:
        check_change(self._config, config)
        self._build(config)

    @property
    def target_ids(self) -> tuple[str, ...]:
        """The targets held, in the order in which they were given."""
        return tuple(self._targets)

    def track(self, target_id: str = DEFAULT_TARGET_ID) -> Track:
        """The last track of a target; TargetError for one that is not held."""
        return selected(self._targets, [target_id])[0].track

    def release(self, target_id: str = DEFAULT_TARGET_ID) -> None:
        """Forget one target; one that is not held is no error."""
        self._targets.pop(target_id, None)
        if not self._targets:
            self._frame_size = None

    def reset(self) -> None:
        """Forget all targets."""
        self._targets.clear()
        self._frame_size = None

    def save_target(self, target_id: str, path: str | Path) -> None:
        """Write what was learned of a target to a file of at most 5 MB, to find it again later.

        Raises TargetError for an id that is not held, for `memory = average`, which has no sums,
        and where the file cannot be written.
        """
        write_target(self.saved_target(target_id), path)

    def saved_target(self, target_id: str = DEFAULT_TARGET_ID) -> SavedTarget:
        """What `save_target` writes, for `merge_targets`."""
        (target,) = selected(self._targets, [target_id])
        return capture(target, fingerprint(self.model, self._config))

    @torch.no_grad()
    def load_target(self, saved: str | Path | SavedTarget, target_id: str | None = None) -> Track:
        """Take up a target of another run: it starts as lost, anywhere in the frame.

        `saved`: a file, or what `read_target` and `merge_targets` give. `target_id`: None keeps
        its name; one that is held is replaced. Raises TargetError for a file that is none, or that
        other weights or settings made.
        """
        if not isinstance(saved, SavedTarget):
            saved = read_target(saved)
        wanted = fingerprint(self.model, self._config)
        if saved.fingerprint != wanted:
            raise TargetError(
                f"expected a target saved with these weights and settings ({wanted}); "
                f"{saved.target_id!r} was saved with others ({saved.fingerprint}): save it again"
            )
        name = saved.target_id if target_id is None else target_id
        self._targets[name] = self._learner.resume(saved, name)
        return self._targets[name].track

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
        if set(self._targets) - {target_id}:
            self._check_size(width, height)
        self._frame_size = (width, height)
        image = upload_frame(frame, self.device)
        target = self._learner.start(image, box, target_id)
        remember(target, frame, self._config)
        self._targets[target_id] = target
        return target.track

    def update(self, frame_rgb: NDArray[np.uint8]) -> Track:
        """Find the one target held in the next frame (H, W, 3) uint8.

        Raises FrameError, or TargetError when none or several targets are held.
        """
        if len(self._targets) != 1:
            raise TargetError(
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
        Raises FrameError, also for a frame of another size than the targets' first one, and
        TargetError for ids that are not held.
        """
        frame = check_frame(frame_rgb)
        height, width = frame.shape[:2]
        self.timer.reset()
        targets = selected(self._targets, only)
        if not targets:
            return {}
        self._check_size(width, height)
        self._frame_size = (width, height)
        with self.timer("upload"):
            image = upload_frame(frame, self.device)
        config = self._config
        with self.timer("carry"):
            carry(targets, frame, config)
        plans = [make_plan(target, width, height, self._grid, config) for target in targets]
        sightings = sight(
            image, targets, plans, self._localiser, self.verifier, self._grid, config
        )
        lessons = []
        for target, plan, sighting in zip(targets, plans, sightings, strict=True):
            self._move(target, plan, sighting, (width, height))
            target.close_up = None
            if sighting.find is not None and sighting.verdict.may_learn:
                target.close_up = close_up(target, frame, config)
                if target.palette is not None and sighting.find.palette is not None:
                    target.palette = learned(target.palette, sighting.find.palette)
                rival = has_rival(sighting.evidence, config)
                lessons.append(Lesson(target, sighting.find, rival))
        self._learn(image, targets, due_lessons(lessons, len(targets), config))
        return {target.target_id: target.track for target in targets}

    def _check_size(self, width: int, height: int) -> None:
        if self._frame_size not in (None, (width, height)):
            before = "{}x{}".format(*self._frame_size or ())
            raise FrameError(
                f"expected a frame of {before}, as the targets' boxes are in its pixels; got "
                f"{width}x{height}: release the targets and give their boxes anew"
            )

    def _move(
        self, target: Target, plan: Plan, sighting: Sighting, frame_size: tuple[int, int]
    ) -> None:
        """Write what one frame says of a target's place, shape and state."""
        config = self._config
        find, evidence, verdict, others, far = sighting
        was_lost = target.state is TrackState.LOST
        target.belief, target.evidence = verdict.belief, evidence
        shown = find if self.keep_score_maps else None
        target.score_map = None if shown is None else shown.score_map(self._grid)
        seen = target.state is TrackState.TRACKING
        surely = is_sure(target.belief, config)
        target.rivals = next_rivals(target, find, others, far, surely)
        target.looks = with_others(target, find if surely else None, others, far)
        target.shape = next_shape(target.shape, find if seen else None, config)
        target.followed = verdict.follow
        if find is not None and verdict.follow:
            target.box_xywh = next_box(target.shape, target.state, plan, find, frame_size, config)
        elif target.state is TrackState.LOST:
            target.box_xywh = target.last_seen_box_xywh
        target.next_tile = plan.next_tile
        target.model.frames_since_update += 1
        # What is followed in doubt says nothing about where the target can be.
        target.motion = target.motion.seen(target.box_xywh) if surely else target.motion.missed()
        if seen:
            target.last_seen_box_xywh = target.box_xywh
            target.next_tile = 0
        if target.state is TrackState.LOST and not was_lost and config.recent_share > 0:
            self._anchor(target)

    def _anchor(self, target: Target) -> None:
        """Look for a lost target by what it was given as and what was verified of it."""
        try:
            anchored = self._learner.anchored(target.model.memory)
        except SolverError as error:
            _give_up_model(target, error)
            return
        target.model = replace(anchored, frames_since_update=target.model.frames_since_update)

    def _learn(self, image: Tensor, targets: Sequence[Target], lessons: Sequence[Lesson]) -> None:
        """Let models learn and write what came of it."""
        failed = self._learner.learn(image, targets, lessons)
        for lesson in lessons:
            lesson.target.looks = with_look(lesson)
        for target in targets:
            if target.target_id in failed:
                _give_up_model(target, failed[target.target_id])

    def pop_notes(self) -> dict[str, list[str]]:
        """What went wrong with targets since the last call, by id."""
        notes = {name: target.notes for name, target in self._targets.items() if target.notes}
        for name in notes:
            self._targets[name].notes = []
        return notes


def _give_up_model(target: Target, error: SolverError) -> None:
    target.notes.append(f"its model was given up for the first frame's: {error}")
    target.belief = replace(target.belief, state=TrackState.LOST, presence=0.0, score=0.0)
