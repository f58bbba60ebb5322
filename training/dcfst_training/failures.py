"""What a run says that diverged: where, on what, and what is kept."""

from __future__ import annotations

from pathlib import Path

from lightning import LightningModule

from dcfst_training.export import read_checkpoint


def describe_failure(module: LightningModule, loss: str, batch: int) -> str:
    """The message for a loss that is not finite, with its pairs and the last good checkpoint."""
    trainer = module.trainer
    places = [item.dirpath for item in trainer.checkpoint_callbacks if item.dirpath]
    newest = Path(places[0]) / "last.ckpt" if places else None
    kept = "No checkpoint has been written yet: start again with a lower learning rate"
    if newest and newest.is_file():
        step = read_checkpoint(newest)["global_step"]
        kept = (
            f"The last good checkpoint is {newest}, after {step} steps: start a run in another "
            f"folder from it, with --init_from {newest} and a lower learning rate"
        )
    pairs = trainer.datamodule.describe_batch(batch) if trainer.datamodule else "unknown"
    return (
        f"the loss is {loss} at step {module.global_step} (batch {batch} of epoch "
        f"{module.current_epoch}); its pairs, as clip (frames): {pairs}. {kept}"
    )
