"""`dcfst-train fit`: train, from scratch, from other weights, or from where a run was stopped."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer
from lightning.pytorch.callbacks import (
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from dcfst_training import export
from dcfst_training.checkpointing import AtomicCheckpointIO, KeptEpochs, MidEpochCheckpoint
from dcfst_training.data import PairDataModule
from dcfst_training.errors import SettingsError
from dcfst_training.module import DCFSTModule
from dcfst_training.resume import check_resume
from dcfst_training.sessions import ResumableProgressBar, StopAfterEpoch, sole_session
from dcfst_training.starts import check_crops, start_at_plain_features

log = logging.getLogger(__name__)
PARTS = ("trunk", "embedding", "iou_net")
TRAINER_DEFAULTS: dict[str, Any] = {
    "reload_dataloaders_every_n_epochs": 1,
    # Each process draws pairs of its own; Lightning's sampler would deal them out again.
    "use_distributed_sampler": False,
    "num_sanity_val_steps": 0,
}


@dataclass
class RunOptions:
    """The settings of `fit` that belong to neither model, data nor trainer."""

    run: str = "runs/dcfst"
    """Folder of checkpoints and curves."""
    init_from: str = ""
    """Checkpoint of another run, or exported .safetensors, to take the weights from."""
    init_parts: list[str] = field(default_factory=lambda: list(PARTS))
    """Parts of the network to take from --init_from; the others start as usual."""
    plain_start_crops: int = 300
    """Crops from which a `plain` start estimates the principal directions."""
    plain_start_whitening: float = 0.0
    """Exponent in 0..1 that evens out the variances of a `plain` start's features."""
    stop_after_epoch: int = 0
    """Stop after so many epochs in all, to go on later; 0 runs to max_epochs."""
    keep_every_epochs: int = 0
    """Also keep the weights at the start, as start.ckpt, and of every n-th epoch, as epoch=N.ckpt,
    for `dcfst-train evaluate`; 0 keeps none."""
    checkpoint_every_minutes: float = 5.0
    """Minutes between the checkpoints inside an epoch."""


@dataclass
class Session:
    """All that a session of a run needs."""

    options: RunOptions
    model: DCFSTModule
    data: PairDataModule
    trainer: Trainer
    logger: Any = None
    """The trainer's `logger` setting: None and True take TensorBoard and CSV."""
    checkpoints: bool = True
    """The trainer's `enable_checkpointing` setting."""


def fit(session: Session) -> None:
    """Run a session; raises SettingsError and DivergedError with what to do."""
    run = Path(session.options.run)
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"expected a folder to write to for --run; {run} is none ({error.strerror})"
        ) from error
    with sole_session(run):
        _prepare(session, run)
        _fit(session, run)


def _fit(session: Session, run: Path) -> None:
    options, model, data = session.options, session.model, session.data
    trainer = session.trainer
    newest = run / "last.ckpt"
    data.setup("fit")
    _say_pairs_a_step(trainer, data.hparams.batch_size)
    if newest.is_file():
        check_resume(export.read_checkpoint(newest), newest, model, data, trainer)
        print(f"resuming from {newest}")
        trainer.fit(model, data, ckpt_path=str(newest), weights_only=True)
        return
    if options.init_from:
        _init_from(session)
    starts_here = not options.init_from or "embedding" not in options.init_parts
    if starts_here and model.hparams.start == "plain":
        check_crops(options.plain_start_crops, model.net)
        examples = data.examples(options.plain_start_crops)
        start_at_plain_features(model.net, examples, whitening=options.plain_start_whitening)
    if trainer.limit_val_batches:
        # Step 0 of the held-out curves: what the run starts from.
        trainer.validate(model, data, verbose=False)
    trainer.fit(model, data)


def _init_from(session: Session) -> None:
    options, model = session.options, session.model
    unknown = sorted(set(options.init_parts) - set(PARTS))
    if unknown:
        raise SettingsError(
            f"expected in --init_parts some of {', '.join(PARTS)}; got {', '.join(unknown)}"
        )
    print(f"taking {', '.join(options.init_parts)} from {options.init_from}")
    export.load_network(model.net, options.init_from, options.init_parts)
    strength = export.fit_regularization(options.init_from)
    if strength and "iou_net" in options.init_parts:
        model.log_fit_regularization.data.fill_(math.log(strength))


def _prepare(session: Session, run: Path) -> None:
    """Send checkpoints and curves to the run folder."""
    options, trainer = session.options, session.trainer
    trainer.strategy.checkpoint_io = AtomicCheckpointIO()
    trainer.loggers = _loggers(session.logger, trainer, run)
    callbacks = [
        _resumable(item) for item in trainer.callbacks if not isinstance(item, ModelCheckpoint)
    ]
    if trainer.loggers:
        callbacks.append(LearningRateMonitor())
    if options.stop_after_epoch:
        callbacks.append(StopAfterEpoch(options.stop_after_epoch))
    if session.checkpoints:
        callbacks += _checkpoints(options, run)
    else:
        log.warning(
            "with --trainer.enable_checkpointing false nothing of the run in %s is kept: neither "
            "its weights, nor anything to go on from",
            run,
        )
    trainer.callbacks = callbacks


def _checkpoints(options: RunOptions, run: Path) -> list[Callback]:
    chosen: list[Callback] = [
        MidEpochCheckpoint(run, options.checkpoint_every_minutes),
        ModelCheckpoint(
            dirpath=run,
            filename="last",
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        ),
    ]
    if options.keep_every_epochs:
        chosen.append(KeptEpochs(run, options.keep_every_epochs))
    return chosen


def _loggers(setting: Any, trainer: Trainer, run: Path) -> list[Logger]:
    """What was asked for, with the CSV that `report` and `compare` read; none for False."""
    if setting is False:
        return []
    # Each session of a run gets its own version_N: an existing file would be overwritten.
    # Written at once, so that a killed session leaves its curve.
    table = CSVLogger(str(run), name="csv", flush_logs_every_n_steps=1)
    if setting not in (None, True):
        return [*trainer.loggers, table]
    if not any(find_spec(name) for name in ("tensorboard", "tensorboardX")):
        log.warning("TensorBoard is not installed: curves are written as CSV alone, in %s", run)
        return [table]
    return [TensorBoardLogger(str(run), name="", version="tb"), table]


def _resumable(callback: Callback) -> Callback:
    # Lightning takes rich's bar where rich is installed.
    if type(callback) not in (TQDMProgressBar, RichProgressBar):
        return callback
    return ResumableProgressBar(callback.refresh_rate)


def _say_pairs_a_step(trainer: Trainer, batch_size: int) -> None:
    message = pairs_a_step(batch_size, trainer.world_size, trainer.accumulate_grad_batches)
    if message and rank_zero_only.rank == 0:
        print(message)


def pairs_a_step(batch_size: int, processes: int, accumulated: int) -> str:
    """What to tell of a step of several processes; nothing for one."""
    if processes == 1:
        return ""
    total = batch_size * processes * accumulated
    return (
        f"a step has {total} pairs: {batch_size} on each of {processes} processes"
        f"{f', {accumulated} times' if accumulated > 1 else ''}. For {batch_size} in all, as with "
        f"one process, give --data.batch_size {batch_size / processes:g} and divide "
        f"--data.pairs_per_epoch by {processes}"
    )
