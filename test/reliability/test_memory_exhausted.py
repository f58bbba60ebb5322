"""No memory left: one line that says so, and whoever can go on does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_process import CommandProcess

from dcfst_core import Tracker, TrackerConfig, TrackState
from dcfst_core.errors import is_out_of_memory
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.network.checkpoint import load_model

Start = Callable[..., CommandProcess]
MIB = 2**20


@pytest.mark.fault("out of memory in `dcfst track`")
@pytest.mark.parametrize("memory_mib", [8, 60, 150])
def test_a_command_without_memory_says_so(
    command: Start, clip: Path, box: str, untrained: str, memory_mib: int
) -> None:
    arguments = ["track", clip, "--init", box, "--weights", untrained, "--device", "cpu"]
    process = command(*arguments, "--max-frames", 3, memory_bytes=memory_mib * MIB)
    assert process.wait() == 1
    assert "memory" in process.output.splitlines()[-1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.fault("out of memory on the GPU")
def test_a_tracker_survives_a_gpu_without_memory() -> None:
    clip = SyntheticClip(frames=8)
    frames, box = list(clip), tuple(clip.boxes_xywh()[0])
    tracker = Tracker(load_model(), TrackerConfig.default(), "cuda")
    tracker.init(frames[0], box)
    tracker.update(frames[1])
    torch.cuda.empty_cache()
    hog = []
    try:
        for mib in (1024, 64, 4):
            while torch.cuda.mem_get_info()[0] > 2 * mib * MIB:
                hog.append(torch.empty(mib * MIB, dtype=torch.uint8, device="cuda"))
        with pytest.raises(RuntimeError) as caught:
            for index in range(100):
                tracker.init(frames[2], box, f"more {index}")
        assert is_out_of_memory(caught.value)
    finally:
        hog.clear()
        torch.cuda.empty_cache()
    track = tracker.update_all(frames[2], only=["target"])["target"]
    assert track.state is TrackState.TRACKING and np.isfinite(track.box_xywh).all()
