"""What a run starts from, which layers it leaves alone, which checkpoints it keeps."""

from __future__ import annotations

from pathlib import Path

import torch

from dcfst_core.checkpoint import load_model
from dcfst_core.model import DCFSTNet
from dcfst_training.export import read_checkpoint


def test_a_run_starts_from_exported_weights_and_leaves_frozen_layers_alone(kept_run: Path) -> None:
    start = load_model(kept_run.parent / "start.safetensors").state_dict()
    state = read_checkpoint(kept_run / "last.ckpt")["state_dict"]
    same = {name for name, value in start.items() if torch.equal(value, state[f"net.{name}"])}
    learned = {name for name, _ in DCFSTNet().named_parameters()}
    for part, moves in (
        *(("trunk.conv1", False), ("trunk.bn1", False), ("trunk.layer1", False)),
        *(("trunk.layer2", True), ("trunk.layer3", True), ("iou_net.test3", True)),
        ("embedding", False),  # its loss has no weight here
    ):
        names = {name for name in learned if name.startswith(f"{part}.")}
        assert names and (not names & same if moves else names <= same), part


def test_start_and_kept_epochs_stay_beside_the_last_checkpoint(kept_run: Path) -> None:
    names = sorted(path.name for path in kept_run.glob("*.ckpt"))
    assert names == ["epoch=1.ckpt", "last.ckpt", "start.ckpt"]
    first, kept, last = (
        read_checkpoint(kept_run / f"{name}.ckpt") for name in ("start", "epoch=1", "last")
    )
    assert [item["global_step"] for item in (first, kept, last)] == [0, 2, 3]
    assert "optimizer_states" not in kept  # weights alone: a third of the size
    exported = load_model(kept_run.parent / "start.safetensors").state_dict()
    name = "iou_net.predictor.weight"
    assert torch.equal(first["state_dict"][f"net.{name}"], exported[name])
    assert not torch.equal(kept["state_dict"][f"net.{name}"], last["state_dict"][f"net.{name}"])
