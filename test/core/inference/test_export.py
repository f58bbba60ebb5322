"""The network as ONNX: what the file computes, and what is said where it cannot be made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from dcfst_core.cli.main import main
from dcfst_core.evaluation.straightforward import StraightforwardNet
from dcfst_core.inference import export
from dcfst_core.network.checkpoint import load_model

SIDE = 96


def need_packages() -> None:
    for name in export.PACKAGES:
        pytest.importorskip(name)


def test_the_file_computes_what_the_plain_network_does(
    tmp_path: Path, untrained: str, capsys: pytest.CaptureFixture[str]
) -> None:
    need_packages()
    import onnxruntime

    path = tmp_path / "new" / "net.onnx"
    words = ["export", "--onnx", str(path), "--weights", untrained]
    assert main([*words, "--patch", str(SIDE), "--batch", "2"]) == 0
    told = capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    patch = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    names = [port.name for port in session.get_outputs()]
    found = dict(zip(names, session.run(None, {"patch": patch.numpy()}), strict=True))
    net = StraightforwardNet(load_model(untrained), torch.device("cpu"))
    with torch.no_grad():
        blocks = net.trunk(patch)
        expected = (*blocks, *net.convolve(blocks), *net.iou_features(blocks))
    assert names == [name for name, _ in export.OUTPUTS]
    for name, wanted in zip(names, expected, strict=True):
        value = torch.from_numpy(found[name])
        assert torch.allclose(value, wanted, atol=1e-4 * float(wanted.abs().max())), name
        assert f"| {name} | {'x'.join(map(str, wanted.shape))} |" in " ".join(told.split())
    assert [path.name for path in path.parent.iterdir()] == ["net.onnx"]


def test_a_file_that_computes_something_else_is_not_kept(
    tmp_path: Path, untrained: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_packages()
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(export.ExportError, match="block3 of the exported network to be PyTorch's"):
        export.export_onnx(load_model(untrained), tmp_path / "net.onnx", SIDE)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_the_command_that_brings_it(
    tmp_path: Path,
    untrained: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    path = tmp_path / "net.onnx"
    assert main(["export", "--onnx", str(path), "--weights", untrained]) == 1
    error = capsys.readouterr().err
    assert "dcfst export: expected the package onnx" in error
    assert "pip install 'dcfst_ros[onnx]'" in error
    assert not path.exists()


def test_a_patch_that_no_tracker_has_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--onnx", str(tmp_path / "a.onnx"), "--patch", "200"]) == 1
    assert "--patch: expected a multiple of 16; got 200" in capsys.readouterr().err
