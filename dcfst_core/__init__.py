"""DCFST: a class-agnostic visual tracker. Give it one box, it keeps the object::

from dcfst_core import load_tracker
tracker = load_tracker(device="auto")
tracker.init(frame_rgb, (x, y, w, h))
track = tracker.update(next_frame_rgb)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcfst_core.loading import choose_device, load_tracker
    from dcfst_core.network.checkpoint import load_model
    from dcfst_core.track import Track, TrackState
    from dcfst_core.tracking.config import TrackerConfig
    from dcfst_core.tracking.tracker import Tracker

__version__ = "0.1.0"
__all__ = [
    "Track",
    "TrackState",
    "Tracker",
    "TrackerConfig",
    "choose_device",
    "load_model",
    "load_tracker",
]

# Loaded at first use: importing PyTorch takes seconds, which a node that only draws or plays
# should not wait for.
_PLACES = {
    "Track": "track",
    "TrackState": "track",
    "Tracker": "tracking.tracker",
    "TrackerConfig": "tracking.config",
    "choose_device": "loading",
    "load_model": "network.checkpoint",
    "load_tracker": "loading",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
