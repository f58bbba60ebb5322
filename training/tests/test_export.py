"""`dcfst-train export`: what it writes from checkpoints and from exported weights."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from dcfst_core.network.checkpoint import load_model, save_model
from dcfst_core.network.model import DCFSTNet
from dcfst_training.cli import main

NAME = "iou_net.predictor.weight"


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Exported weights of two untrained networks."""
    paths = (tmp_path / "one.safetensors", tmp_path / "two.safetensors")
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        save_model(DCFSTNet(), path, {"name": path.stem, "note": f"note of {path.stem}"})
    return paths


def test_exported_weights_are_averaged_and_noted_too(two: tuple[Path, Path]) -> None:
    one, other = two
    out = one.parent / "mean.safetensors"
    main(["export", str(one), str(out), "--average-with", str(other), "--note", "both"])
    weights = [load_model(path).state_dict()[NAME] for path in (one, other, out)]
    assert torch.allclose(weights[2], (weights[0] + weights[1]) / 2, atol=1e-3)
    described = json.loads(out.with_suffix(".json").read_text())
    assert described["note"] == "both" and described["averaged_with"] == [str(other)]
    assert described["name"] == "one"
    main(["export", str(one), str(out)])
    assert json.loads(out.with_suffix(".json").read_text())["note"] == "note of one"


def test_exported_files_can_be_read_by_others(two: tuple[Path, Path]) -> None:
    out = two[0].parent / "out.safetensors"
    before = os.umask(0o022)
    try:
        main(["export", str(two[0]), str(out)])
    finally:
        os.umask(before)
    for path in (out, out.with_suffix(".json")):
        assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["bad.pt", "bad", "bad.json"])
def test_another_kind_of_file_is_refused(
    two: tuple[Path, Path], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = two[0].parent / name
    with pytest.raises(SystemExit) as done:
        main(["export", str(two[0]), str(out)])
    assert done.value.code == 1 and not out.exists()
    assert "ending in .safetensors" in capsys.readouterr().err
