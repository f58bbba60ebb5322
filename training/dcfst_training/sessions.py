"""The sessions of a run: one at a time, each shown from where the one before it ended."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.utilities import rank_zero_only

from dcfst_training.errors import SettingsError


@contextmanager
def sole_session(run: Path) -> Iterator[None]:
    """Hold the folder `run`: two sessions at once would overwrite each other's checkpoints.

    The processes of one session, on one machine or on many, hold it by the first of them. The
    system lets go of it when that process ends, however it ends. SettingsError if it is held.
    """
    if rank_zero_only.rank != 0:
        yield
        return
    lock = FileLock(run / "session.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise SettingsError(
            f"expected no other session of the run {run}, but one is going on: wait for it, end "
            "it, or choose another folder with --run"
        ) from error
    try:
        yield
    finally:
        lock.release()


class StopAfterEpoch(Callback):
    """Ends a session of a run without changing the run's length, which its schedule follows."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask the trainer to stop once the wanted epoch is done."""
        if trainer.current_epoch + 1 >= self.epochs:
            trainer.should_stop = True


class ResumableProgressBar(TQDMProgressBar):
    """Lightning's progress bar, also for a session that goes on inside an epoch.

    Such an epoch does not start there, and the bar would have neither its number nor its length.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the epoch that the run is in, from the batch at which the session begins."""
        super().on_train_start(trainer, pl_module)
        self.on_train_epoch_start(trainer)
        batches = trainer.global_step * trainer.accumulate_grad_batches
        length = trainer.num_training_batches
        done = int(batches % length) if math.isfinite(length) else 0
        self.train_progress_bar.initial = self.train_progress_bar.n = done
        self.train_progress_bar.refresh()

    def on_train_epoch_start(self, trainer: Trainer, *rest: Any) -> None:
        """Begin at zero: the speed is counted from the batch at which an epoch was begun."""
        self.train_progress_bar.initial = 0
        super().on_train_epoch_start(trainer, *rest)
