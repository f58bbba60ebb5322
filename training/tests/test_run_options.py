"""What a run starts from, which layers it leaves alone, which checkpoints it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dcfst_core.checkpoint import load_model, save_model
from dcfst_core.model import DCFSTNet
from dcfst_training.cli import main
from dcfst_training.export import read_checkpoint

DEBUG = Path(__file__).parents[1] / "configs" / "debug.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three epochs of one step from exported weights, every second epoch kept."""
    run = tmp_path_factory.mktemp("runs") / "run"
    save_model(DCFSTNet(), run.parent / "start.safetensors", {})
    settings = {
        **{"init_from": run.parent / "start.safetensors", "keep_every_epochs": 2},
        **{"model.score_weight": 0, "model.warmup_steps": 0, "model.trunk_lr": 1e-3},
        **{"model.fixed_norm": True},  # a batch of one has no statistics
        **{"model.frozen_layers": "[conv1,bn1,layer1]", "trainer.max_epochs": 3},
        **{"data.batch_size": 1, "data.pairs_per_epoch": 1, "trainer.limit_val_batches": 0},
        **{"trainer.enable_progress_bar": False, "trainer.enable_model_summary": False},
    }
    chosen = [f"--{name}={value}" for name, value in settings.items()]
    main(["fit", f"--config={DEBUG}", f"--run={run}", *chosen])
    return run


def test_a_run_starts_from_exported_weights_and_leaves_frozen_layers_alone(run: Path) -> None:
    start = load_model(run.parent / "start.safetensors").state_dict()
    state = read_checkpoint(run / "last.ckpt")["state_dict"]
    same = {name for name, value in start.items() if torch.equal(value, state[f"net.{name}"])}
    learned = {name for name, _ in DCFSTNet().named_parameters()}
    for part, moves in (
        *(("trunk.conv1", False), ("trunk.bn1", False), ("trunk.layer1", False)),
        *(("trunk.layer2", True), ("trunk.layer3", True), ("iou_net.test3", True)),
        ("embedding", False),  # its loss has no weight here
    ):
        names = {name for name in learned if name.startswith(f"{part}.")}
        assert names and (not names & same if moves else names <= same), part


def test_kept_epochs_stay_beside_the_last_checkpoint(run: Path) -> None:
    assert sorted(path.name for path in run.glob("*.ckpt")) == ["epoch=1.ckpt", "last.ckpt"]
    kept, last = (read_checkpoint(run / f"{name}.ckpt") for name in ("epoch=1", "last"))
    assert (kept["global_step"], last["global_step"]) == (2, 3)
    assert "optimizer_states" not in kept  # weights alone: a third of the size
    name = "net.iou_net.predictor.weight"
    assert not torch.equal(kept["state_dict"][name], last["state_dict"][name])
