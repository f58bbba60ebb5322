"""What the presets of `TrackerConfig` change of its defaults."""

from __future__ import annotations

from typing import Any

# What neither the paper nor its code has.
_PLAIN: dict[str, Any] = {
    "spread_updates": False,
    "reuse_features_within": 0.0,
    "recent_share": 0.0,
    "subgrid_peak": False,
    "box_refinement_iter": 5,
    "box_refinement_step_length": 0.02,
    "modulation_adaptation_iter": 0,
    "predictor_fit": 0.0,
    "num_proposals": 10,
    "proposal_size_jitter": 0.25,
    "judgement": False,
    "camera_motion": False,
    "growth": False,
    "motion_window": 0.0,
    "look_around": False,
    "size_return": 0.0,
    "looks": 0,
    "colours": False,
    "precision": "float32",
}

PAPER: dict[str, Any] = {
    **_PLAIN,
    "memory": "average",
    "learning_rate": 0.01,
    "first_frame_share": 0.0,
    "augment_first_frame": False,
    "update_interval": 1,
    "update_grid_stride": 1,
    "window_strength": 0.0,
    "shape_filter": False,
}

# Size followed at 0.7: the filter's gain settles there with this drift and noise.
RELEASED: dict[str, Any] = {
    **_PLAIN,
    "learning_rate": 0.013,
    "first_frame_share": 0.25,
    "augment_first_frame": True,
    "update_interval": 10,
    "update_grid_stride": 1,
    "hard_negative_threshold": 0.3,
    "window_strength": 0.3,
    "size_drift": 0.07,
    "size_noise": 0.03,
}

FAST: dict[str, Any] = {
    "search_area_scale": 3.5,
    "patch_size": 176,
    "grid_size": 21,
    "update_interval": 14,
    "reuse_features_within": 0.3,
    "box_refinement_iter": 1,
    "box_refinement_step_length": 0.12,
    "num_proposals": 5,
}

NANO: dict[str, Any] = {
    **FAST,
    "patch_size": 144,
    "grid_size": 17,
    "box_refinement_step_length": 0.08,
}
