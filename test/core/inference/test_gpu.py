"""The tracker on a CUDA device, against the same tracker on the CPU. Run with `pytest -m gpu`."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from dcfst_core import Track, Tracker, TrackerConfig
from dcfst_core.evaluation.metrics import overlaps
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.inference.net import InferenceNet
from dcfst_core.network.checkpoint import load_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CLIP = SyntheticClip(frames=40, size=(640, 480), target=(64, 80), period=120)
SECOND_BOX = (40.0, 60.0, 90.0, 70.0)


def follow(
    device: str, precision: str, targets: int = 1, cuda_graphs: bool = True
) -> Iterator[list[Track]]:
    config = TrackerConfig(precision=precision, cuda_graphs=cuda_graphs)
    tracker = Tracker(load_model(), config, device)
    for index, frame in enumerate(CLIP):
        if index == 0:
            boxes = (tuple(CLIP.boxes_xywh()[0]), SECOND_BOX)[:targets]
            yield [tracker.init(frame, box, str(i)) for i, box in enumerate(boxes)]
        else:
            yield list(tracker.update_all(frame).values())


@pytest.mark.parametrize(("precision", "least_iou"), [("float32", 0.99), ("auto", 0.9)])
def test_boxes_are_those_of_the_cpu(precision: str, least_iou: float) -> None:
    for on_cpu, on_gpu in zip(follow("cpu", "float32"), follow("cuda", precision), strict=True):
        for expected, found in zip(on_cpu, on_gpu, strict=True):
            assert found.state == expected.state
            assert overlaps([found.box_xywh], [expected.box_xywh])[0] >= least_iou


def test_float32_is_not_rounded_to_tf32() -> None:
    patches = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    model = load_model()
    found = InferenceNet(model, torch.device("cuda"), "float32").trunk(patches.cuda())
    exact = copy.deepcopy(model.trunk).double().eval()(patches.double())
    for block, expected in zip(found, exact, strict=True):
        assert (block.cpu().double() - expected).norm() < 1e-5 * expected.norm()


def test_two_targets_are_followed_in_one_batch() -> None:
    alone = [tracks[0] for tracks in follow("cuda", "float32")]
    together = [tracks[0] for tracks in follow("cuda", "float32", targets=2)]
    for single, joint in zip(alone, together, strict=True):
        assert joint.box_xywh == pytest.approx(single.box_xywh, abs=0.2)


def test_one_target_takes_less_than_a_gibibyte() -> None:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    tracks = [tracks[0] for tracks in follow("cuda", "auto")]
    assert np.isfinite([track.box_xywh for track in tracks]).all()
    assert torch.cuda.max_memory_allocated() < 2**30


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize(("precision", "tolerance_px"), [("float32", 0.05), ("auto", 1.5)])
def test_graphs_change_nothing(targets: int, precision: str, tolerance_px: float) -> None:
    plain = follow("cuda", precision, targets, cuda_graphs=False)
    for expected, found in zip(plain, follow("cuda", precision, targets), strict=True):
        for one, other in zip(expected, found, strict=True):
            assert other.state == one.state
            assert other.box_xywh == pytest.approx(one.box_xywh, abs=tolerance_px)


def test_both_stages_are_captured(caplog: pytest.LogCaptureFixture) -> None:
    tracker = Tracker(load_model(), TrackerConfig(), "cuda")
    frames = iter(CLIP)
    tracker.init(next(frames), tuple(CLIP.boxes_xywh()[0]))
    for _ in range(8):
        tracker.update(next(frames))
    stages = (tracker._localiser._graphed_search, tracker._localiser._graphed_examine)
    assert [len(stage._graphs) for stage in stages] == [1, 1]
    assert "without a CUDA graph" not in caplog.text


def test_the_host_waits_for_nothing_but_the_result() -> None:
    tracker = Tracker(load_model(), TrackerConfig(update_interval=1000), "cuda")
    frames = iter(CLIP)
    tracker.init(next(frames), tuple(CLIP.boxes_xywh()[0]))
    for _ in range(8):
        tracker.update(next(frames))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as waits:
            warnings.simplefilter("always")
            tracker.update(next(frames))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len([w for w in waits if "synchroniz" in str(w.message)]) <= 1
