"""The settings of most tests of the tracker: small regions, the same on any machine."""

from __future__ import annotations

from typing import Any

from dcfst_core.tracking.config import TrackerConfig

SMALL: dict[str, Any] = {
    "precision": "float32",
    "search_area_scale": 4.0,
    "patch_size": 208,
    "grid_size": 21,
    "box_refinement": False,
    "augment_first_frame": False,
}


def small_config(**changes: Any) -> TrackerConfig:
    """Quick settings with what a test changes of them."""
    return TrackerConfig(**{**SMALL, **changes})
