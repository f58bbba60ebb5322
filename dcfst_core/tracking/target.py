"""One target: everything the tracker keeps of it between two frames. Data, no decisions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from dcfst_core.boxes import BoxXYWH
from dcfst_core.errors import TargetError
from dcfst_core.inference.iou_field import Guide
from dcfst_core.network.embedding import Features, RegressorKernel
from dcfst_core.track import Evidence, ScoreMap, Track, TrackState
from dcfst_core.tracking.camera import Scene
from dcfst_core.tracking.growth import CloseUp
from dcfst_core.tracking.judgement import Belief
from dcfst_core.tracking.looks import LookBook
from dcfst_core.tracking.memory import SampleMemory
from dcfst_core.tracking.motion import Motion
from dcfst_core.tracking.rivals import Rivals
from dcfst_core.tracking.shape import Shape


@dataclass(frozen=True)
class View:
    """A frame that a model has still to learn from."""

    features: Features
    """Head features (1, ...)."""
    box_in_patch: BoxXYWH
    frames: int
    """How many frames it stands for."""
    weight: Tensor | None = None
    """(1, N) of its samples; None is one each."""


@dataclass
class Model:
    """What a target's regressor has learned, and the regressor as it is used.

    Only `Learner` writes it. A lesson may take some frames: then there is a `view` that is not yet
    in the memory, or a memory that is not yet in the kernel.
    """

    memory: SampleMemory
    kernel: RegressorKernel
    frames_since_update: int = 0
    view: View | None = None
    unsolved: bool = False

    @property
    def learning(self) -> bool:
        """Whether a lesson is under way."""
        return self.unsolved or self.view is not None


@dataclass
class Target:
    """The state of one target; only `Tracker` writes it, at the end of a frame, and at its start
    `carry`."""

    target_id: str
    box_xywh: BoxXYWH
    model: Model
    guide: Guide
    """What the IoU predictor knows of it."""
    looks: LookBook | None
    palette: Tensor | None
    """Its colours (1, BINS^3), see `tracking.colours`; None where they are not compared."""
    motion: Motion
    shape: Shape
    belief: Belief
    last_seen_box_xywh: BoxXYWH
    scene: Scene | None = None
    """Of the last frame in which it was looked for; None where the camera is not watched."""
    close_up: CloseUp | None = None
    """Of the last frame; None where that was none to learn from: something else would be followed.
    """
    rivals: Rivals = field(default_factory=Rivals)
    """What looks like it and is not."""
    evidence: Evidence | None = None
    score_map: ScoreMap | None = None
    followed: bool = True
    """Whether its box is where something was found in the last frame."""
    next_tile: int = 0
    """The tile of the frame that is looked at next while it is lost."""
    notes: list[str] = field(default_factory=list)
    """What went wrong with it, in words, newest last; see `Tracker.pop_notes`."""

    @property
    def state(self) -> TrackState:
        """Whether it is followed."""
        return self.belief.state

    @property
    def is_as_usual(self) -> bool:
        """Whether it was seen in the last frame, and as it is wont to be."""
        if self.state is not TrackState.TRACKING:
            return False
        return self.evidence is None or self.belief.usual.allows(self.evidence)

    @property
    def track(self) -> Track:
        """The public view."""
        return Track(
            self.target_id,
            self.box_xywh,
            self.belief.score,
            self.belief.state,
            self.belief.presence,
            self.last_seen_box_xywh,
            self.evidence,
            self.score_map,
            self.followed,
        )


def selected(targets: Mapping[str, Target], only: Collection[str] | None) -> list[Target]:
    """The targets with these ids (None: all) in the order in which they are held.

    Raises TargetError for ids that are not held, and for a string in place of a collection.
    """
    if only is None:
        return list(targets.values())
    if isinstance(only, str):
        raise TargetError(f"expected only as a collection of ids, e.g. [{only!r}]; got a str")
    unknown = sorted(set(only) - set(targets))
    if unknown:
        raise TargetError(f"expected ids among {list(targets)}; got also {unknown}")
    return [target for target in targets.values() if target.target_id in only]
