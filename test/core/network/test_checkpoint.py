"""Weights on disk: round trip, and an exact message for every way a file can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dcfst_core import load_tracker
from dcfst_core.errors import CheckpointError
from dcfst_core.network.checkpoint import load_model, save_model
from dcfst_core.network.model import Architecture, DCFSTNet


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    save_model(DCFSTNet(), path, {"note": "test"})
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    for suffix in (".safetensors", ".json"):
        (tmp_path / f"net{suffix}").write_bytes(saved.with_suffix(suffix).read_bytes())
    return tmp_path / "net.safetensors"


def test_round_trip_in_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = DCFSTNet(Architecture(residual=False))
    save_model(net, tmp_path / "net.safetensors", {"note": "round trip"})
    assert (tmp_path / "net.safetensors").stat().st_size < 40e6
    loaded = load_model(tmp_path / "net.safetensors")
    assert loaded.metadata["note"] == "round trip"
    assert not loaded.embedding.block3.residual
    for name, value in net.state_dict().items():
        difference = (loaded.state_dict()[name] - value).abs().max()
        assert difference <= 1e-3 * max(float(value.abs().max()), 1e-3), name


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing\.safetensors; there is none"):
        load_tracker(tmp_path / "nothing.safetensors", device="cpu")


def test_missing_metadata(copy: Path) -> None:
    copy.with_suffix(".json").unlink()
    with pytest.raises(CheckpointError, match=r"net\.json beside"):
        load_model(copy)


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\xff" * 4096])
def test_damaged_file(copy: Path, content: bytes) -> None:
    copy.write_bytes(content)
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        load_model(copy)


def test_file_that_is_cut_short(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        load_model(copy)


@pytest.mark.parametrize("content", ["{", "[1, 2]", '{"architecture": {"depth": 50}}'])
def test_damaged_metadata(copy: Path, content: str) -> None:
    copy.with_suffix(".json").write_text(content)
    with pytest.raises(CheckpointError, match=r"expected (JSON|a JSON object|architecture)"):
        load_model(copy)


def test_weights_of_another_network(copy: Path) -> None:
    tensors = load_file(str(copy))
    tensors["backbone.weight"] = tensors.pop("trunk.conv1.weight")
    save_file(tensors, str(copy))
    with pytest.raises(
        CheckpointError, match=r"1 are missing .*trunk\.conv1\.weight.*1 are unknown"
    ):
        load_model(copy)


def test_wrong_shape(copy: Path) -> None:
    described = json.loads(copy.with_suffix(".json").read_text())
    described["architecture"]["dimensions"] = 512
    copy.with_suffix(".json").write_text(json.dumps(described))
    with pytest.raises(CheckpointError, match=r"fc\.\w+ of shape \(256.*got \(512"):
        load_model(copy)


def test_weights_that_are_not_finite(copy: Path) -> None:
    tensors = load_file(str(copy))
    tensors["trunk.conv1.weight"][0] = float("nan")
    save_file(tensors, str(copy))
    with pytest.raises(CheckpointError, match=r"trunk\.conv1\.weight holds NaN"):
        load_model(copy)
