"""The first steps of a recipe as `fit` runs them, loader and all: what a longer run will do.

Nothing is kept: no validation, checkpoints or curves. All flags of `fit` apply.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from dcfst_core.evaluation.tables import format_table
from dcfst_training.benchmarks import positive_ints
from dcfst_training.benchmarks.meter import write_json
from dcfst_training.fit import fit
from dcfst_training.fit_settings import read_settings

WARM = 5
"""Steps before measuring: the first ones start processes, and GPUs choose their kernels."""


class StepClock(Callback):
    """The clock's time of the steps after the warm ones, and what of it was waiting for pairs."""

    def __init__(self) -> None:
        self.steps = 0
        self.seconds = self.waited = 0.0
        self._last = 0.0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The pairs are there."""
        if batch_idx > WARM:
            self.waited += time.perf_counter() - self._last

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """The step is done, on the GPU as well."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if batch_idx > WARM:
            self.steps += 1
            self.seconds += now - self._last
        self._last = now


def main(arguments: list[str]) -> None:
    """Entry point of `dcfst-train bench fit`."""
    parser = argparse.ArgumentParser(
        prog="dcfst-train bench fit", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--steps", type=positive_ints, default=[50], help="steps to run (50)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements")
    options, rest = parser.parse_known_args(arguments)
    (steps,) = options.steps
    row = measure_fit(rest, steps)
    headers = ("steps", "pairs a step", "s a step", "pairs / s", "waiting for pairs")
    print(format_table(headers, [tuple(row.values())], digits=3))
    if options.json is not None:
        write_json(options.json, "fit", [row])


def measure_fit(arguments: list[str], steps: int) -> dict[str, float]:
    """Run `steps` steps and `WARM` before them; the share of the time spent waiting is last."""
    clock = StepClock()
    with tempfile.TemporaryDirectory() as folder:
        session = read_settings(
            [
                *arguments,
                f"--run={folder}",
                f"--trainer.max_steps={steps + WARM + 1}",
                "--trainer.max_epochs=-1",
                "--trainer.limit_val_batches=0",
                "--trainer.logger=false",
                "--trainer.enable_checkpointing=false",
                "--keep_every_epochs=0",
            ]
        )
        batch_size = session.data.hparams.batch_size
        needed = (steps + WARM + 1) * batch_size
        session.data.hparams.pairs_per_epoch = max(needed, session.data.hparams.pairs_per_epoch)
        session.trainer.callbacks.append(clock)
        fit(session)
    pairs = batch_size * session.trainer.world_size
    seconds = clock.seconds / max(clock.steps, 1)
    return {
        "steps": clock.steps,
        "pairs": pairs,
        "seconds": seconds,
        "pairs_per_second": pairs / seconds,
        "waiting": clock.waited / clock.seconds,
    }
