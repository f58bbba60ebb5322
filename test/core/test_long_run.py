"""What only shows after minutes: memory that grows. Run with `pytest -m slow`."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dcfst_core import Tracker, TrackerConfig
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.inference.machine import resident_memory_mib
from dcfst_core.network.checkpoint import load_model

FRAMES = 10_000


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_frames_take_no_more_memory_than_a_thousand() -> None:
    """Two targets of the packaged network in small regions, the second given anew at times."""
    config = TrackerConfig(patch_size=96, grid_size=11, grid_spacing=6.0)
    clip = SyntheticClip(frames=120, size=(320, 240), target=(40, 50))
    frames = list(clip)
    tracker = Tracker(load_model(), config)
    box = tuple(clip.boxes_xywh()[0])
    tracker.init(frames[0], box, "first")
    resident = []
    for index, frame in zip(range(FRAMES), itertools.cycle(frames), strict=False):
        if index % 480 == 0:
            tracker.init(frame, box, "second")
        tracker.update_all(frame)
        resident.append(resident_memory_mib()[0])
    early, late = np.max(resident[1000:2000]), np.max(resident[-1000:])
    assert late - early < 16, f"resident memory grew from {early:.0f} to {late:.0f} MiB"
