"""TrackerConfig: every number of the online tracker, with unit, range and source.

`paper()` is the plain DCFST of arXiv 1906.10414 with ATOM's refinement; `default()` is what a
robot should run; `fast()` is for small CPUs. Each field's help is also its ROS parameter
description.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, fields
from typing import Any


def option(
    default: Any,
    help: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A dataclass field that knows its help text and its permitted values."""
    return field(
        default=default, metadata={"help": help, "low": low, "high": high, "choices": choices}
    )


@dataclass(frozen=True)
class TrackerConfig:
    """Settings of `Tracker`; lengths marked "patch px" are pixels of the resized search region."""

    # Search region
    search_area_scale: float = option(
        5.0, "side of the search region over sqrt(w * h) of the target (paper: 5)", 2.0, 10.0
    )
    patch_size: int = option(
        288, "side of the resized search region, px, a multiple of 16 (paper: 288)", 96, 640
    )
    # Sample RoIs and regressor
    grid_size: int = option(31, "sample RoIs along each side, N = size^2 (paper: 31)", 5, 61)
    grid_spacing: float = option(
        8.0, "distance of neighbouring RoI centres, patch px (one cell of block3)", 1.0, 32.0
    )
    output_sigma_factor: float = option(
        0.25, "sigma of the Gaussian labels over sqrt(w * h) (paper, after KCF: 1/4)", 0.01, 1.0
    )
    regularization: float = option(0.1, "lambda of the ridge regression (paper: 0.1)", 1e-6, 1e6)
    # Online model
    memory: str = option(
        "gram",
        "how frames are combined: average = running mean of the data matrix (paper Eq. 6), "
        "gram = weighted least squares over all samples of all frames",
        choices=("average", "gram"),
    )
    learning_rate: float = option(
        0.03, "delta, weight of a new frame in the model (paper Eq. 6-7: 0.01)", 0.0, 1.0
    )
    update_interval: int = option(
        5, "frames between model updates; delta is compounded over them (paper: 1)", 1, 1000
    )
    update_grid_stride: int = option(
        2, "an update learns from every n-th sample RoI along each side; needs memory = gram", 1, 8
    )
    reuse_features_within: float = option(
        0.0,
        "an update takes the features that the search has already if the target moved less than "
        "this share of its size; 0 = always a new crop, centred on the target (paper)",
        0.0,
        2.0,
    )
    first_frame_floor: float = option(
        0.0, "least share of the first frame in the model (paper: none)", 0.0, 0.95
    )
    augment_first_frame: bool = option(
        False, "add shifted, flipped, rotated and blurred copies of the first frame (ATOM)"
    )
    hard_negative_threshold: float = option(
        1.0,
        "a second peak above this share of the main one updates the model at once; 1 = never",
        0.0,
        1.0,
    )
    fading_threshold: float = option(
        0.5,
        "a score below this share of the usual one, but not in doubt, updates the model at once: "
        "the target is changing its look; 0 = never (paper)",
        0.0,
        1.0,
    )
    urgent_learning_rate: float = option(
        0.125, "least delta of an update that a hard negative or a fading score caused", 0.0, 1.0
    )
    # Localisation
    window_strength: float = option(
        0.3, "how much a cosine window lowers scores at the region's border (paper: 0)", 0.0, 1.0
    )
    uncertain_window_strength: float = option(
        0.7, "the same while the target is uncertain, when it is likely to be hidden", 0.0, 1.0
    )
    subgrid_peak: bool = option(
        True, "fit a Gaussian to the score peak (paper: the grid's best RoI)"
    )
    # Box refinement (ATOM)
    box_refinement: bool = option(True, "refine the box with the IoU predictor")
    box_refinement_iter: int = option(3, "gradient ascent steps (ATOM: 5)", 0, 100)
    box_refinement_step_length: float = option(
        0.033, "step length, in squared box sizes per unit of predicted IoU", 0.0, 1.0
    )
    modulation_adaptation_iter: int = option(
        30, "steps by which the IoU predictor is fitted to the first frame (ATOM: none)", 0, 1000
    )
    modulation_adaptation_rate: float = option(0.1, "learning rate of those steps", 0.0, 10.0)
    num_proposals: int = option(
        7, "boxes refined: one unchanged, others jittered in opposite pairs (ATOM: 10)", 1, 128
    )
    proposal_position_jitter: float = option(
        0.05, "largest shift of a jittered proposal, in box sizes (ATOM)", 0.0, 1.0
    )
    proposal_size_jitter: float = option(
        0.1, "largest change of a jittered proposal's log size (ATOM: 0.25)", 0.0, 1.0
    )
    num_averaged: int = option(3, "best refined boxes that are averaged (ATOM: 3)", 1, 128)
    position_refinement: float = option(
        0.25, "share of the refined centre in the new centre; the rest is the score peak", 0.0, 1.0
    )
    size_update_rate: float = option(
        0.3, "share of the refined size in the new size; the rest is the old size", 0.0, 1.0
    )
    # Judgement
    appearances: int = option(
        16,
        "looks of a target that are remembered, to tell it from others: the first frame's and the "
        "newest it learned from; 0 = none (paper)",
        0,
        1000,
    )
    reach: float = option(
        1.5,
        "how far from where it was last seen a target in doubt may be, in target sizes, beside "
        "what it may have moved since",
        0.1,
        1000.0,
    )
    uncertain_threshold: float = option(
        0.27,
        "below this share of its usual score a target is uncertain: its box follows, its model "
        "does not learn",
        0.0,
        3.0,
    )
    target_not_found_threshold: float = option(
        0.15, "below this share of its usual score a target's box stays where it was", 0.0, 3.0
    )
    lost_after: int = option(
        7, "uncertain frames in a row after which the target counts as lost", 1, 1000
    )
    reaccept_threshold: float = option(
        0.28,
        "share of its usual score that a lost target must reach to be followed again; unless it "
        "looks as ever, with all of the second peak taken off",
        0.0,
        3.0,
    )
    reaccept_likeness: float = option(
        0.6, "likeness to its usual look that a lost target must reach as well", 0.0, 1.0
    )
    reaccept_frames: int = option(
        3,
        "successive frames above both before tracking resumes; up to 3.5 times as many far from "
        "where the target should be",
        1,
        100,
    )
    lost_search_tiles: int = option(
        2, "extra search regions looked at per frame while lost, tiling the frame", 0, 16
    )
    # Numerics
    precision: str = option(
        "auto",
        "number format of the convolutions; auto = bfloat16 or float16 where it is fast",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    cuda_graphs: bool = option(
        True, "replay a frame's kernels as CUDA graphs; without effect on a CPU"
    )

    def __post_init__(self) -> None:
        for spec in fields(self):
            check_option(spec, getattr(self, spec.name))
        if self.patch_size % 16:
            raise ValueError(f"patch_size: expected a multiple of 16, got {self.patch_size}")
        if self.memory == "average" and self.update_grid_stride > 1:
            raise ValueError(
                "update_grid_stride: expected 1 with memory = average, whose data matrices all "
                f"have one shape; got {self.update_grid_stride}: set it to 1, or use memory = gram"
            )
        if self.num_averaged > self.num_proposals:
            raise ValueError(
                f"num_averaged: expected at most num_proposals = {self.num_proposals}, "
                f"got {self.num_averaged}"
            )

    @classmethod
    def paper(cls) -> TrackerConfig:
        """Plain DCFST (arXiv 1906.10414) with ATOM's refinement as published.

        The running mean of the data matrix is updated and solved again in every frame, the peak is
        the grid's best RoI, and the refined box is taken as it is. What is found is never in
        doubt, so no target is ever reported as uncertain or lost.
        """
        return cls(
            memory="average",
            learning_rate=0.01,
            update_interval=1,
            update_grid_stride=1,
            reuse_features_within=0.0,
            first_frame_floor=0.0,
            augment_first_frame=False,
            hard_negative_threshold=1.0,
            fading_threshold=0.0,
            window_strength=0.0,
            uncertain_window_strength=0.0,
            appearances=0,
            uncertain_threshold=0.0,
            target_not_found_threshold=0.0,
            subgrid_peak=False,
            box_refinement_iter=5,
            box_refinement_step_length=0.02,
            modulation_adaptation_iter=0,
            num_proposals=10,
            proposal_size_jitter=0.25,
            position_refinement=1.0,
            size_update_rate=1.0,
            precision="float32",
        )

    @classmethod
    def default(cls) -> TrackerConfig:
        """What a robot should run."""
        return cls()

    @classmethod
    def fast(cls) -> TrackerConfig:
        """For small CPUs: half the pixels, with the target at the size the network was trained at.

        The search region is narrower (4 target sizes, not 5), updates are fewer and take the
        features at hand, and fewer boxes are refined. Its cost in AUC is in docs/performance.md.
        """
        return cls(
            search_area_scale=4.0,
            patch_size=208,
            grid_size=21,
            update_interval=8,
            reuse_features_within=0.3,
            num_proposals=5,
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrackerConfig:
        """Build a config from plain values; an unknown name raises ValueError naming it."""
        known = [spec.name for spec in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f"unknown tracker settings {unknown}; known ones: {known}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, for JSON or YAML."""
        return dataclasses.asdict(self)


def check_option(spec: dataclasses.Field[Any], value: Any) -> None:
    """Raise ValueError naming the field of an `option`, its value and what is permitted."""
    kind = type(spec.default)
    accepted = (int, float) if kind is float else (kind,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{spec.name}: expected {kind.__name__}, got {value!r}")
    choices = spec.metadata["choices"]
    if choices is not None and value not in choices:
        raise ValueError(f"{spec.name}: expected one of {choices}, got {value!r}")
    low, high = spec.metadata["low"], spec.metadata["high"]
    if low is not None and not low <= value <= high:
        raise ValueError(f"{spec.name}: expected {low} to {high}, got {value}")
