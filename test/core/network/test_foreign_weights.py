"""Checkpoints of other kinds say what they are, and how to convert them or why not."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch

from dcfst_core.errors import CheckpointError
from dcfst_core.network.checkpoint import load_model, save_model
from dcfst_core.network.model import DCFSTNet


class Anything:
    """An object of a program that wrote a checkpoint."""


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return DCFSTNet().state_dict()


def message(path: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        load_model(path)
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("w.pth", "bare", "with this network's tensors. To convert it, in Python: net ="),
        ("w.pt", "old format", "PyTorch checkpoint (a pickle) with this network's tensors"),
        (
            "w.pth.tar",
            "nested",
            "the state dict within torch.load('w.pth.tar', weights_on",
        ),
        ("w.ckpt", "training", "`dcfst-train export"),
        ("DCFST.pth.tar", "other network", "cannot be converted: its 2 tensors (bbox_regressor"),
        ("w.pth", "objects", "objects of the program that wrote it, which loading would run"),
        ("w.pth", "cut", "cut short or damaged, so fetch it again"),
        ("w.pth", "page", "cut short or damaged, so fetch it again"),
        ("w.zip", "zip", "is a zip file"),
        ("w.tar", "tar", "is a tar file"),
        ("w", "bare", "To convert it, in Python"),
        ("w.safetensors", "bare", "To convert it, in Python"),
    ],
)
def test_every_kind_is_named_with_the_way_out(
    name: str, kind: str, expected: str, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / name
    prefixed = {f"net.{key}": value for key, value in state.items()}
    other = {"bbox_regressor.weight": torch.zeros(3), "feature_extractor.w": torch.zeros(2)}
    held: dict[str, Any] = {
        "bare": state,
        "old format": state,
        "nested": {"net": prefixed, "epoch": 40},
        "training": {"state_dict": prefixed, "hyper_parameters": {"start": "plain"}},
        "other network": {"net": other, "constructor": "dcfst50"},
        "objects": {"net": state, "settings": Anything()},
        "cut": state,
        "zip": {},
    }
    if kind == "page":
        path.write_text("<html>not found</html>")
    elif kind == "tar":
        with tarfile.open(path, "w") as archive:
            archive.add(__file__, arcname="storages")
    elif kind == "zip":
        import zipfile

        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "hello")
    else:
        modern = kind != "old format"
        torch.save(held[kind], path, _use_new_zipfile_serialization=modern)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    assert expected in message(path)


def test_the_way_out_works(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """What the message says, done."""
    torch.save(state, tmp_path / "w.pth")
    net = DCFSTNet()
    net.load_state_dict(torch.load(tmp_path / "w.pth", weights_only=True))
    save_model(net, tmp_path / "out.safetensors", {})
    assert load_model(tmp_path / "out.safetensors").architecture == net.architecture


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "is a folder" in message(tmp_path)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"architecture": {"dimensions": "1024"}}, "dimensions, a whole number from 1"),
        ({"architecture": {"dimensions": 0}}, "dimensions, a whole number from 1"),
        ({"architecture": {"dimensions": -5}}, "dimensions, a whole number from 1"),
        ({"architecture": {"dimensions": 10**9}}, "dimensions, a whole number from 1"),
        ({"architecture": {"dimensions": True}}, "dimensions, a whole number from 1"),
        ({"architecture": {"dimensions": 1024.5}}, "dimensions, a whole number from 1"),
        ({"architecture": {"residual": "yes"}}, "residual, true or false"),
        ({"architecture": {"residual": 1}}, "residual, true or false"),
        ({"architecture": {"depth": 50}}, "architecture fields among"),
        ({"architecture": [1, 2]}, "architecture to be of type dict"),
        ({"name": 5}, "name to be of type str"),
        ({"note": ["a"]}, "note to be of type str"),
        ({"steps": "many"}, "steps to be of type int"),
        ({"epoch": 1.5}, "epoch to be of type int"),
        ({"exported": 20261126}, "exported to be of type str"),
        ({"settings": "none"}, "settings to be of type dict"),
        ({"averaged_with": "x"}, "averaged_with to be of type list"),
    ],
)
def test_every_field_beside_the_weights_is_checked(
    metadata: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"")
    (tmp_path / "w.json").write_text(json.dumps(metadata))
    with pytest.raises(CheckpointError) as error:
        load_model(tmp_path / "w.safetensors")
    assert expected in str(error.value)
