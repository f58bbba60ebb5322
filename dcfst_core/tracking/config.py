"""TrackerConfig: every number of the online tracker, with unit, range and source.

`paper()` is the plain DCFST of arXiv 1906.10414 with ATOM's refinement, `released()` has the
settings of the paper's own released code; `default()` is what a robot should run; `fast()` is for
small CPUs, `nano()` for smaller ones. Each field's help is also its ROS parameter description.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields
from typing import Any

from dcfst_core.tracking.options import check_together, checked_option, option
from dcfst_core.tracking.presets import FAST, NANO, PAPER, RELEASED


@dataclass(frozen=True)
class TrackerConfig:
    """Settings of `Tracker`; lengths marked "patch px" are pixels of the resized search region."""

    # Search
    search_area_scale: float = option(
        5.0, "side of the search region over sqrt(w * h) of the target (paper: 5)", 2.0, 10.0
    )
    patch_size: int = option(
        288,
        "side of the resized search region, px, a multiple of 16 (paper: 288)",
        *(96, 640),
        live=False,
    )
    window_strength: float = option(
        0.45, "how much a cosine window lowers scores at the region's border (paper: 0)", 0.0, 1.0
    )
    motion_window: float = option(
        0.5,
        "how much scores are lowered that are farther from where the target should be than it is "
        "wont to move: a look-alike that passes does not take it along (paper: 0)",
        *(0.0, 1.0),
    )
    subgrid_peak: bool = option(
        True, "fit a Gaussian to the score peak (paper: the grid's best RoI)"
    )
    reach: float = option(
        1.5,
        "how far from where it was last seen a target in doubt may be, in target sizes, beside "
        "what it may have moved since",
        *(0.1, 1000.0),
    )
    camera_motion: bool = option(
        True, "look where the target is if it moved in the image as the scene did (paper: no)"
    )
    look_around: bool = option(
        True,
        "who is not where it should be is looked for again in the frame, twice as far around",
    )
    lost_search_tiles: int = option(
        2,
        "extra search regions looked at per frame while lost, tiling the frame; unless 0 one more "
        "in the first 20 frames in doubt: what stands beyond the target's reach is not it",
        *(0, 16),
    )
    lost_search_zoom: float = option(
        1.25,
        "while lost, regions are also taken so many times larger and smaller, in turn: it may "
        "come back nearer or farther; 1 = never",
        *(1.0, 4.0),
    )
    # Sample RoIs and regressor
    grid_size: int = option(
        31, "sample RoIs along each side, N = size^2 (paper: 31)", 5, 61, live=False
    )
    grid_spacing: float = option(
        8.0,
        "distance of neighbouring RoI centres, patch px (one cell of block3)",
        *(1.0, 32.0),
        live=False,
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
        live=False,
    )
    learning_rate: float = option(
        0.013, "delta, weight of a new frame in the model (paper Eq. 6-7: 0.01)", 0.0, 1.0
    )
    first_frame_share: float = option(
        0.25, "share of the first frame in the model, whatever comes (paper: none)", 0.0, 0.95
    )
    recent_share: float = option(
        0.4,
        "share of the newest frames in the model (paper: none); needs memory = gram",
        *(0.0, 0.9),
    )
    recent_rate: float = option(
        0.25, "delta of the newest frames' part: how soon they are forgotten", 0.0, 1.0
    )
    augment_first_frame: bool = option(
        True, "add flipped, rotated and blurred copies of the first frame (ATOM; paper: none)"
    )
    update_interval: int = option(
        5, "frames between model updates; delta is compounded over them (paper: 1)", 1, 1000
    )
    spread_updates: bool = option(
        True,
        "an update's parts (view, samples, solution) are done in frames one after another, so "
        "that none takes long; without, or with an interval below 3, all in one (paper)",
    )
    update_grid_stride: int = option(
        2,
        "an update, and a copy of the first frame, is learned from by every n-th sample RoI along "
        "each side; needs memory = gram",
        *(1, 8),
        live=False,
    )
    reuse_features_within: float = option(
        0.0,
        "an update takes the features that the search has already if the target moved less than "
        "this share of its size; 0 = always a new crop, centred on the target (paper)",
        *(0.0, 2.0),
    )
    hard_negative_threshold: float = option(
        1.0,
        "a second peak above this share of the main one updates the model at once, the RoIs "
        "around it with a greater weight; 1 = never",
        *(0.0, 1.0),
    )
    hard_negative_weight: float = option(
        4.0, "weight of the RoIs around such a peak; of the others: 1", 1.0, 100.0
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
    predictor_fit: float = option(
        0.1,
        "lambda, relative to the mean square of a hidden feature vector, with which the IoU "
        "predictor's last layer is fitted to the first frame; 0 = not fitted (ATOM)",
        *(0.0, 1e3),
    )
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
    # Shape
    shape_filter: bool = option(
        True, "filter the refined box's size and place (paper: it is taken as it is)"
    )
    growth: bool = option(
        True,
        "tell by the flow of points on the target how much it grew since the last frame; without "
        "effect unless shape_filter (paper: no)",
    )
    size_drift: float = option(
        0.06, "how much a log size may change in a frame (standard deviation)", 0.001, 1.0
    )
    size_noise: float = option(
        0.06, "error of the best refined log size (standard deviation)", 0.001, 1.0
    )
    size_return: float = option(
        0.02, "share a frame by which a size returns to the given one, its aspect twice", 0.0, 0.5
    )
    peak_noise: float = option(
        0.06, "error of the score peak's place, in target sizes (standard deviation)", 0.0, 1.0
    )
    # Judgement
    judgement: bool = option(
        True, "judge whether a find is the target; without, it always is (paper)", live=False
    )
    tracking_threshold: float = option(
        0.5, "presence from which the target counts as seen: it is reported and followed", 0.0, 1.0
    )
    lost_threshold: float = option(
        0.1, "presence below which it counts as lost and is looked for in the frame", 0.0, 1.0
    )
    lost_after: int = option(
        6,
        "frames not seen in a row before it may count as lost; until then its box follows",
        *(1, 1000),
    )
    learning_threshold: float = option(
        0.65, "presence from which the model and the looks learn from a frame", 0.0, 1.0
    )
    vanishing: float = option(
        0.01, "how often a target in view is covered or gone in the next frame", 0.0, 0.5
    )
    returning: float = option(
        0.03, "how often a target that is gone is in view in the next frame", 0.0, 0.5
    )
    looks: int = option(
        16,
        "looks of a target that are remembered, to tell it from others: the first frame's and "
        "verified ones, and as many of what stood beside it; 0 = none (paper)",
        *(0, 1000),
        live=False,
    )
    colours: bool = option(
        True, "also judge a find by its colours (paper: by the regressor alone)", live=False
    )
    # Numerics
    precision: str = option(
        "auto",
        "number format of the convolutions; auto = bfloat16 or float16 where it is fast; int8 "
        "needs int8_file, and a CPU with VNNI or AMX, without which it is auto",
        choices=("auto", "float32", "bfloat16", "float16", "int8"),
        live=False,
    )
    int8_file: str = option(
        "",
        "with precision = int8: the file that `dcfst export --int8` made of these weights for "
        "this patch_size",
        live=False,
    )
    cuda_graphs: bool = option(
        True, "replay a frame's kernels as CUDA graphs; without effect on a CPU"
    )

    def __post_init__(self) -> None:
        for spec in fields(self):
            object.__setattr__(self, spec.name, checked_option(spec, getattr(self, spec.name)))
        check_together(self)

    @classmethod
    def paper(cls) -> TrackerConfig:
        """Plain DCFST (arXiv 1906.10414) with ATOM's refinement as published.

        The running mean of the data matrix is updated and solved again in every frame, the peak is
        the grid's best RoI, and the refined box is taken as it is. What is found is never in
        doubt, so no target is ever reported as uncertain or lost.

        The network that is shipped departs from the paper's: its head adds to the trunk's features
        and starts from their principal directions (`Architecture.residual`), the trunk itself was
        trained, and lambda was met with 225 RoIs in training against 961 here.
        """
        return cls(**PAPER)

    @classmethod
    def released(cls) -> TrackerConfig:
        """The settings of the paper's own released code (facts; departures of the net as above).

        Delta 0.013, solved again every 10 frames or at once after a hard negative (a rival above
        0.3 of the peak, delta 0.125 there), a quarter of the first frame in the model, augmented,
        an output window, size followed at 0.7. Its "not found" below a peak of 0.25 is judged here
        as everything else; its features of unit RMS are not built.
        """
        return cls(**RELEASED)

    @classmethod
    def default(cls) -> TrackerConfig:
        """What a robot should run."""
        return cls()

    @classmethod
    def fast(cls) -> TrackerConfig:
        """For small CPUs: four tenths of the pixels, boxes refined in one step.

        The search region is narrower (3.5 target sizes, not 5), updates are fewer and take the
        features at hand, and fewer boxes are refined. Its cost in AUC is in docs/performance.md.
        """
        return cls(**FAST)

    @classmethod
    def nano(cls) -> TrackerConfig:
        """For boards where `fast` is too slow: a smaller picture, boxes refined in one step.

        Its cost in AUC, and what lies between the two, is in docs/performance.md.
        """
        return cls(**NANO)

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
