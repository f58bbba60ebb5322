"""What a run starts from, which layers it leaves alone, which checkpoints it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dcfst_core.network.checkpoint import load_model
from dcfst_core.network.model import Architecture, DCFSTNet
from dcfst_training.cli import main
from dcfst_training.curves import read_curves
from dcfst_training.export import load_network, read_checkpoint
from dcfst_training.sessions import sole_session


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


def test_kept_epochs_survive_a_resume(debug_recipe: Path, tmp_path: Path) -> None:
    """Callbacks of one kind share their state in a checkpoint, and delete what it calls old."""
    settings = {
        **{"run": tmp_path, "keep_every_epochs": 1, "trainer.max_epochs": 3},
        **{"data.batch_size": 1, "data.pairs_per_epoch": 1, "trainer.limit_val_batches": 0},
        **{"model.score_weight": 0, "model.start": "gaussian"},
        **{"trainer.enable_progress_bar": False, "trainer.enable_model_summary": False},
    }
    chosen = [f"--{name}={value}" for name, value in settings.items()]
    for stop in (2, 3):
        main(["fit", f"--config={debug_recipe}", *chosen, f"--stop_after_epoch={stop}"])
    names = {path.name for path in tmp_path.glob("*.ckpt")}
    assert names == {"last.ckpt", "start.ckpt", *(f"epoch={number}.ckpt" for number in range(3))}
    assert read_checkpoint(tmp_path / "start.ckpt")["global_step"] == 0


def test_parts_of_other_weights_are_taken_alone(kept_run: Path) -> None:
    """`--init_parts [iou_net]`: the head starts as it would without `--init_from`."""
    for file in ("last.ckpt", "../start.safetensors"):
        net, fresh = DCFSTNet(), DCFSTNet()
        fresh.load_state_dict(net.state_dict())
        load_network(net, kept_run / file, ["iou_net"])
        state, before = net.state_dict(), fresh.state_dict()
        same = {name for name, value in state.items() if torch.equal(value, before[name])}
        assert {name for name in state if not name.startswith("iou_net.")} <= same
        assert "iou_net.predictor.weight" not in same


def test_a_head_of_the_other_form_is_refused(kept_run: Path) -> None:
    """Its tensors have the same names and shapes, and would make another network."""
    net = DCFSTNet(Architecture(residual=False))
    for file in ("last.ckpt", "../start.safetensors"):
        with pytest.raises(ValueError, match=r"expected .* gaussian; .* has one .* plain: choose"):
            load_network(net, kept_run / file)
        load_network(net, kept_run / file, ["trunk", "iou_net"])


def test_held_out_curves_begin_before_the_first_step(debug_recipe: Path, tmp_path: Path) -> None:
    """At step 0 with what the run starts from, and by every loss."""
    settings = {
        **{"run": tmp_path, "data.batch_size": 1, "data.pairs_per_epoch": 2},
        **{"data.validation_pairs": 1, "trainer.max_epochs": 1, "model.start": "gaussian"},
        **{"trainer.enable_progress_bar": False, "trainer.enable_model_summary": False},
        **{"model.iou_weight": 0, "model.score_loss": "squared"},
    }
    chosen = [f"--{name}={value}" for name, value in settings.items()]
    main(["fit", f"--config={debug_recipe}", *chosen])
    curves = read_curves(tmp_path)
    for name in ("squared", "shrinkage", "original_shrinkage", "miss_rate"):
        assert list(curves[f"val/{name}"]) == [0, 1], name
    assert curves["val/squared"] == curves["val/score_loss"] != curves["val/shrinkage"]


def test_trunk_weights_that_are_missing_or_anothers_are_named(
    debug_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    for file, message in (
        ("none.pth", "expected ImageNet weights of ResNet-18 at"),
        ("other.pth", "89 of 90 tensors are missing"),
    ):
        weights = f"--model.trunk_weights={tmp_path / file}"
        with pytest.raises(SystemExit) as done:
            main(["fit", f"--config={debug_recipe}", f"--run={tmp_path}", weights])
        assert done.value.code == 1
        assert message in capsys.readouterr().err


def test_exported_weights_can_be_averaged(kept_run: Path, tmp_path: Path) -> None:
    start = kept_run.parent / "start.safetensors"
    ckpt, out = str(kept_run / "last.ckpt"), str(tmp_path / "mean.safetensors")
    main(["export", ckpt, out, "--average-with", str(start)])
    name = "iou_net.predictor.weight"
    trained = read_checkpoint(ckpt)["state_dict"][f"net.{name}"]
    before, mean = load_model(start).state_dict()[name], load_model(out).state_dict()[name]
    assert not torch.allclose(trained, before, atol=1e-4)
    assert torch.allclose(mean, (trained + before) / 2, atol=1e-3)


def test_a_second_session_of_a_run_is_refused_while_the_first_goes_on(
    debug_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fit", f"--config={debug_recipe}", f"--run={tmp_path}"]
    with sole_session(tmp_path), pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 1
    assert f"expected no other session of the run {tmp_path}" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.ckpt"))
    with sole_session(tmp_path):
        pass  # it was let go of
