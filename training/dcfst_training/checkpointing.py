"""Checkpoints that a killed run goes on from exactly, whenever it is killed.

A checkpoint inside an epoch holds how many of the epoch's batches are done; the pairs of the
others follow from their numbers (`PairDataset`), so no random state needs to be kept.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, Dataset, Sampler

from dcfst_training.errors import DivergedError, WriteError
from dcfst_training.pairs import Example


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the old checkpoint, then replaces it: a kill while writing costs nothing."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write the checkpoint whole or not at all.

        DivergedError for one of no use, WriteError when the disk does not take it.
        """
        for name, value in checkpoint.get("state_dict", {}).items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise DivergedError(
                    f"expected finite weights after step {checkpoint['global_step']}; {name} is "
                    f"not. {path} is left as it was: start another run from it, with --init_from "
                    f"{path} and a lower learning rate"
                )
        content = io.BytesIO()
        torch.save(checkpoint, content)
        unfinished = Path(f"{path}.unfinished")
        try:
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(content.getbuffer())
            os.replace(unfinished, path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)  # or it would take the room that is missing
            size_mb = content.getbuffer().nbytes / 1e6
            raise WriteError(
                f"expected room for a checkpoint of {size_mb:.0f} MB in {unfinished.parent}; "
                f"{error.strerror or error}. What was there before is kept: make room, then give "
                "the same command to go on"
            ) from error


class MidEpochCheckpoint(ModelCheckpoint):
    """Writes `last.ckpt` every few minutes inside an epoch."""

    def __init__(self, run: Path, minutes: float) -> None:
        super().__init__(
            dirpath=run,
            filename="last",
            save_top_k=1,
            enable_version_counter=False,
            train_time_interval=timedelta(minutes=minutes),
        )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save when it is time; the epoch's last batch is followed by the epoch's checkpoint."""
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if stepped and not trainer.is_last_batch:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


class KeptEpochs(ModelCheckpoint):
    """Keeps the weights that a run starts from and those of every n-th epoch.

    A class of its own: checkpoints hold callbacks' states by class and settings, and with that of
    the callback for last.ckpt in its place a resumed run would delete a kept epoch.
    """

    def __init__(self, run: Path, every: int) -> None:
        super().__init__(
            dirpath=run,
            filename="{epoch}",
            every_n_epochs=every,
            save_top_k=-1,
            save_weights_only=True,
        )
        self.start = run / "start.ckpt"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write start.ckpt, unless the run goes on from a checkpoint."""
        super().on_train_start(trainer, pl_module)
        if trainer.global_step == 0:
            trainer.save_checkpoint(self.start, weights_only=True)


class ResumableLoader(DataLoader[Example]):
    """A loader in order whose position in the epoch is kept in checkpoints.

    `batches_done`: tells how many batches of the epoch the trainer has finished; batches that were
    loaded ahead do not count.
    """

    def __init__(
        self, dataset: Dataset[Example], batches_done: Callable[[], int], **options: Any
    ) -> None:
        self.positions = _From(len(dataset))  # type: ignore[arg-type]
        self.batches_done = batches_done
        super().__init__(dataset, sampler=self.positions, **options)

    def state_dict(self) -> dict[str, int]:
        """How many batches of the epoch are done."""
        return {"batches": self.batches_done()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after so many batches."""
        assert self.batch_size is not None
        self.positions.start = state["batches"] * self.batch_size


class _From(Sampler[int]):
    """0, 1, 2 … from a start; its length stays the whole epoch's."""

    def __init__(self, length: int) -> None:
        self.length, self.start = length, 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.length))
