"""What tests of training share: one short run with all that it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcfst_core.network.checkpoint import save_model
from dcfst_core.network.model import DCFSTNet
from dcfst_training.cli import main


@pytest.fixture(scope="session")
def debug_recipe() -> Path:
    """`debug.yaml`: drawn targets, an untrained trunk."""
    return Path(__file__).parents[1] / "configs" / "debug.yaml"


@pytest.fixture(scope="session")
def kept_run(debug_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three epochs of one step from `../start.safetensors`, start and second epoch kept.

    Only the IoU predictor and the trunk behind its frozen first layers learn.
    """
    run = tmp_path_factory.mktemp("runs") / "kept"
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
    main(["fit", f"--config={debug_recipe}", f"--run={run}", *chosen])
    return run
