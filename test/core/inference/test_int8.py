"""Eight-bit convolutions: how near they come, how they are used, and what is refused."""

from __future__ import annotations

import copy
import importlib.util
import json
import logging
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from small_settings import small_config
from torch import Tensor

from dcfst_core import Tracker, TrackerConfig
from dcfst_core.cli import export
from dcfst_core.cli.main import main
from dcfst_core.evaluation.calibration_crops import draw_crops
from dcfst_core.inference import int8
from dcfst_core.inference.int8 import Int8Error, Int8Facts, check_int8, load_int8, read_facts
from dcfst_core.inference.machine import has_fast_int8
from dcfst_core.inference.net import InferenceNet, make_net
from dcfst_core.network.model import DCFSTNet, weights_digest

CPU = torch.device("cpu")
SIDE = 208


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, scene: Callable[..., np.ndarray]) -> Path:
    """A folder of images of the drawn scene."""
    folder = tmp_path_factory.mktemp("video")
    for index in range(12):
        frame = scene(100 + 6 * index, 80 + 3 * index)
        cv2.imwrite(str(folder / f"{index:03d}.png"), frame[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, video: Path) -> Path:
    """The packaged network in eight bits."""
    for name in ("openvino", "nncf"):
        pytest.importorskip(name)
    path = tmp_path_factory.mktemp("exported") / "new" / "net.int8"
    words = ["export", "--int8", str(path), "--patch", str(SIDE), "--calibrate", str(video)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_CROPS", 24)
        patch.setattr(export, "_COMPARED", 4)
        assert main(words) == 0
    return path


@pytest.fixture
def hollow(tmp_path: Path, model: DCFSTNet) -> Path:
    """A file that says the right thing of itself and holds no network."""
    return write_file(tmp_path / "hollow.int8", weights_digest(model))


def write_file(path: Path, weights: str, **changes: object) -> Path:
    facts = json.loads(Int8Facts(weights, SIDE, 1, "none").to_json()) | changes
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(int8.FACTS, json.dumps(facts))
        for part in int8.PARTS:
            archive.writestr(f"{part}.xml", "<net/>")
            archive.writestr(f"{part}.bin", b"")
    return path


def patches(video: Path, count: int) -> Tensor:
    return draw_crops([str(video)], SIDE, count)


def test_features_are_near_those_of_float32(exported: Path, model: DCFSTNet, video: Path) -> None:
    facts = read_facts(exported)
    assert (facts.patch_size, facts.crops) == (SIDE, 24)
    assert [path.name for path in exported.parent.iterdir()] == ["net.int8"]
    exact = InferenceNet(model, CPU, "float32")
    net = make_net(model, CPU, "int8", str(exported), SIDE)
    assert net.int8 is not None, "the machine of this test has neither VNNI nor AMX"
    crops = patches(video, 3)
    with torch.no_grad():
        blocks, exact_blocks = net.trunk(crops), exact.trunk(crops)
        found = (*blocks, *net.convolve(blocks), *net.iou_features(blocks))
        wanted = (
            *exact_blocks,
            *exact.convolve(exact_blocks),
            *exact.iou_features(exact_blocks),
        )
    for value, expected in zip(found, wanted, strict=True):
        assert value.shape == expected.shape and value.dtype == torch.float32
        assert float((value - expected).norm() / expected.norm()) < 0.2
        assert value.is_contiguous(memory_format=torch.channels_last)


def test_a_region_does_not_depend_on_the_others(
    exported: Path, model: DCFSTNet, video: Path
) -> None:
    net = make_net(model, CPU, "int8", str(exported), SIDE)
    crops = patches(video, 3)
    together = net.trunk(crops)
    for row in range(3):
        alone = copy.deepcopy(net).trunk(crops[row : row + 1])
        for whole, part in zip(together, alone, strict=True):
            assert torch.equal(whole[row : row + 1], part)


def test_a_part_of_the_features_gives_the_part_of_the_iou_features(
    exported: Path, model: DCFSTNet, video: Path
) -> None:
    net = make_net(model, CPU, "int8", str(exported), SIDE)
    blocks = net.trunk(patches(video, 1))
    whole = net.iou_features(blocks)
    part = net.iou_features((blocks[0][..., 3:17, 4:18], blocks[1][..., 1:11, 2:12]))
    # Two 3x3 convolutions: what is two cells from the cut knows nothing of it.
    for found, wanted in (
        (part[0][..., 2:-2, 2:-2], whole[0][..., 5:15, 6:16]),
        (part[1][..., 2:-2, 2:-2], whole[1][..., 3:9, 4:10]),
    ):
        assert torch.allclose(found, wanted, atol=1e-4 * float(wanted.abs().max()))


def test_the_tracker_follows_with_it(
    exported: Path, model: DCFSTNet, scene: Callable[..., np.ndarray]
) -> None:
    config = small_config(precision="int8", int8_file=str(exported), box_refinement=True)
    tracker = Tracker(model, config)
    assert tracker._net.int8 is not None
    tracker.init(scene(100, 80), (100, 80, 40, 48))
    for step in range(1, 13):
        track = tracker.update(scene(100 + 4 * step, 80 + 2 * step))
    assert np.allclose(track.box_xywh, (148, 104, 40, 48), atol=3)


def test_what_a_file_is_not_for_is_refused(hollow: Path, tmp_path: Path, model: DCFSTNet) -> None:
    with pytest.raises(Int8Error, match=r"for patch_size 288; .* is for 208: dcfst export"):
        check_int8(hollow, model, 288, CPU)
    other = write_file(tmp_path / "other.int8", "0" * 32)
    with pytest.raises(Int8Error, match=r"of the weights in use; .* was made of others"):
        Tracker(model, small_config(precision="int8", int8_file=str(other)))
    future = write_file(tmp_path / "future.int8", weights_digest(model), format=2)
    with pytest.raises(Int8Error, match="format 1 is read, it has 2"):
        check_int8(future, model, SIDE, CPU)


def test_a_file_that_is_none_is_refused(tmp_path: Path, hollow: Path, model: DCFSTNet) -> None:
    with pytest.raises(Int8Error, match=r"there is none: dcfst export --int8"):
        check_int8(tmp_path / "nowhere.int8", model, SIDE, CPU)
    data = hollow.read_bytes()
    for name, content in (("cut", data[: len(data) // 2]), ("text", b"eight bits"), ("none", b"")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(Int8Error, match=f"{name} cannot be read as one"):
            check_int8(path, model, SIDE, CPU)
    with zipfile.ZipFile(tmp_path / "list.int8", "w") as archive:
        archive.writestr(int8.FACTS, "[]")
    with pytest.raises(Int8Error, match="cannot be read as one"):
        check_int8(tmp_path / "list.int8", model, SIDE, CPU)


def test_a_hollow_file_is_refused_by_openvino(hollow: Path, model: DCFSTNet) -> None:
    pytest.importorskip("openvino")
    if not has_fast_int8():
        pytest.skip("neither VNNI nor AMX")
    with pytest.raises(Int8Error, match="refuses its trunk"):
        load_int8(hollow, model, SIDE, CPU)


def test_a_large_member_is_not_read(
    hollow: Path, model: DCFSTNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "_MOST_BYTES", 3)
    with pytest.raises(Int8Error, match="is larger than"):
        check_int8(hollow, model, SIDE, CPU)


def test_it_is_said_why_eight_bits_are_not_used(
    hollow: Path,
    model: DCFSTNet,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert load_int8(hollow, model, SIDE, torch.device("cuda")) is None
    assert "not used, precision auto is: they are for CPUs, and the device is cuda" in caplog.text
    monkeypatch.setattr(int8, "has_fast_int8", lambda: False)
    net = make_net(model, CPU, "int8", str(hollow), SIDE)
    assert net.int8 is None and "neither VNNI nor AMX" in caplog.text
    assert net.dtype == InferenceNet(model, CPU, "auto").dtype


def test_a_missing_package_is_named_with_the_command_that_brings_it(
    hollow: Path,
    video: Path,
    model: DCFSTNet,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(int8, "has_fast_int8", lambda: True)
    with pytest.raises(Int8Error, match=r"package openvino.* pip install 'dcfst_ros\[openvino\]'"):
        Tracker(model, small_config(precision="int8", int8_file=str(hollow)))
    path = hollow.with_name("new.int8")
    assert main(["export", "--int8", str(path), "--calibrate", str(video)]) == 1
    assert "expected the package openvino, which is not here" in capsys.readouterr().err
    assert not path.exists()


def test_settings_and_options_that_lack_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="precision: expected int8_file with int8"):
        TrackerConfig(precision="int8")
    assert main(["export", "--int8", "a.int8"]) == 1
    assert "--int8, --calibrate: expected both; got one" in capsys.readouterr().err


def test_crops_are_the_same_again_and_of_all_videos(
    video: Path, tmp_path: Path, scene: Callable[..., np.ndarray]
) -> None:
    still = tmp_path / "grey"
    still.mkdir()
    cv2.imwrite(str(still / "0.png"), np.full((90, 120, 3), 128, np.uint8))
    crops = draw_crops([str(video), str(still)], 96, 10)
    assert crops.shape == (10, 3, 96, 96)
    assert torch.equal(crops, draw_crops([str(video), str(still)], 96, 10))
    spread = crops.flatten(2).std(dim=2).amax(dim=1)
    assert bool((spread[:5] > 0.05).all()) and bool((spread[5:] < 1e-4).all())


def test_no_reports_are_sent_to_the_maker_of_the_packages(tmp_path: Path) -> None:
    """Their package for that keeps an identity in the home folder before it sends anything."""
    for name in ("openvino", "openvino_telemetry"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"no package {name}")
    code = "from dcfst_core.inference.int8 import openvino_package; openvino_package()"
    told = {name: value for name, value in os.environ.items() if name != "CI"}
    subprocess.run([sys.executable, "-c", code], env={**told, "HOME": str(tmp_path)}, check=True)
    assert not list(tmp_path.iterdir())
