"""`dcfst-train`: `fit` trains, `evaluate` tracks with its checkpoints, `report` draws, and others.

Every setting of `fit` is a flag (`--data.batch_size 8`), a line in a YAML file (`--config
small.yaml`), or both; `dcfst-train fit --help` lists them. The same command goes on where it was.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Literal

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import (
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    TQDMProgressBar,
)
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from dcfst_core.errors import DCFSTError
from dcfst_training import export
from dcfst_training.checkpointing import AtomicCheckpointIO, MidEpochCheckpoint
from dcfst_training.data import PairDataModule
from dcfst_training.module import DCFSTModule
from dcfst_training.plain_start import start_at_plain_features
from dcfst_training.sessions import ResumableProgressBar, sole_session

USAGE = """usage: dcfst-train fit [--config FILE.yaml] [--run FOLDER] [--help] ...
       dcfst-train pack --out FOLDER --data.got10k FOLDER ... [--help]
       dcfst-train evaluate RUN --root FOLDER [--help]
       dcfst-train report RUN [--help]
       dcfst-train compare RUN RUN ... [--help]
       dcfst-train export CHECKPOINT OUT.safetensors [--help]
       dcfst-train bench solver|step|loader [--help]"""


class TrainingCLI(LightningCLI):
    """LightningCLI with a run folder that holds the checkpoints and the curves."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The settings that belong to neither model, data nor trainer."""
        parser.add_argument("--run", default="runs/dcfst", help="folder of checkpoints and curves")
        parser.add_argument(
            "--init_from",
            default="",
            type=str,
            help="checkpoint of another run, or exported .safetensors, to take the weights from",
        )
        parser.add_argument(
            "--init_parts",
            default=["trunk", "embedding", "iou_net"],
            type=list[Literal["trunk", "embedding", "iou_net"]],
            help="parts of the network to take from --init_from; the others start as usual",
        )
        parser.add_argument(
            "--plain_start_crops",
            default=300,
            type=int,
            help="crops from which a `plain` start estimates the principal directions",
        )
        parser.add_argument("--plain_start_whitening", default=0.0, type=float)
        parser.add_argument(
            "--stop_after_epoch",
            default=0,
            type=int,
            help="stop after so many epochs in all, to go on later; 0 runs to max_epochs",
        )
        parser.add_argument(
            "--keep_every_epochs",
            default=0,
            type=int,
            help="also keep the weights at the start, as start.ckpt, and of every n-th epoch, as "
            "epoch=N.ckpt, for `dcfst-train evaluate`; 0 keeps none",
        )
        parser.add_argument(
            "--checkpoint_every_minutes",
            default=5.0,
            type=float,
            help="minutes between the checkpoints inside an epoch",
        )


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


class StopAfterEpoch(Callback):
    """Ends a session of a run without changing the run's length, which its schedule follows."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask the trainer to stop once the wanted epoch is done."""
        if trainer.current_epoch + 1 >= self.epochs:
            trainer.should_stop = True


def fit(arguments: list[str]) -> None:
    """Train, from scratch, from other weights, or from where the run was stopped."""
    cli = TrainingCLI(
        DCFSTModule,
        PairDataModule,
        args=arguments,
        run=False,
        seed_everything_default=0,
        # The run folder is known only after parsing, so trainer and loggers are made below.
        save_config_kwargs={"overwrite": True},
        trainer_defaults={
            "reload_dataloaders_every_n_epochs": 1,
            # Each process draws pairs of its own; Lightning's sampler would deal them out again.
            "use_distributed_sampler": False,
            "num_sanity_val_steps": 0,
        },
    )
    run = Path(cli.config.run)
    run.mkdir(parents=True, exist_ok=True)
    with sole_session(run):
        _fit(cli, run)


def _fit(cli: TrainingCLI, run: Path) -> None:
    settings = cli.config
    model, data, trainer = cli.model, cli.datamodule, cli.trainer
    _place_in(trainer, run, settings.checkpoint_every_minutes)
    if settings.keep_every_epochs:
        trainer.callbacks.append(KeptEpochs(run, settings.keep_every_epochs))
    if settings.stop_after_epoch:
        trainer.callbacks.append(StopAfterEpoch(settings.stop_after_epoch))
    newest = run / "last.ckpt"
    if newest.is_file():
        print(f"resuming from {newest}")
        trainer.fit(model, data, ckpt_path=str(newest), weights_only=True)
        return
    if settings.init_from:
        print(f"taking {', '.join(settings.init_parts)} from {settings.init_from}")
        export.load_network(model.net, settings.init_from, settings.init_parts)
        strength = export.fit_regularization(settings.init_from)
        if strength and "iou_net" in settings.init_parts:
            model.log_fit_regularization.data.fill_(math.log(strength))
    starts_here = not settings.init_from or "embedding" not in settings.init_parts
    if starts_here and model.hparams.start == "plain":
        examples = data.examples(settings.plain_start_crops)
        start_at_plain_features(model.net, examples, whitening=settings.plain_start_whitening)
    if trainer.limit_val_batches:
        # Step 0 of the held-out curves: what the run starts from.
        trainer.validate(model, data, verbose=False)
    trainer.fit(model, data)


def _place_in(trainer: Trainer, run: Path, minutes: float) -> None:
    """Send checkpoints and curves to the run folder."""
    trainer.strategy.checkpoint_io = AtomicCheckpointIO()
    trainer.callbacks = [
        *(_resumable(item) for item in trainer.callbacks if not isinstance(item, ModelCheckpoint)),
        LearningRateMonitor(),
        MidEpochCheckpoint(run, minutes),
        ModelCheckpoint(
            dirpath=run,
            filename="last",
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        ),
    ]
    trainer.loggers = [
        TensorBoardLogger(str(run), name="", version="tb"),
        # Each session of a run gets its own version_N: an existing file would be overwritten.
        # Written at once, so that a killed session leaves its curve.
        CSVLogger(str(run), name="csv", flush_logs_every_n_steps=1),
    ]


def _resumable(callback: Callback) -> Callback:
    # Lightning takes rich's bar where rich is installed.
    if type(callback) not in (TQDMProgressBar, RichProgressBar):
        return callback
    return ResumableProgressBar(callback.refresh_rate)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `dcfst-train`: SystemExit 1 after an error, which is explained, 130 after
    Ctrl-C; a traceback means a defect."""
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if command not in COMMANDS:
        print(USAGE, file=sys.stderr)
        sys.exit(0 if command in ("-h", "--help") else 2)
    try:
        COMMANDS[command](rest)
    except (DCFSTError, FileNotFoundError) as error:
        print(f"dcfst-train {command}: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        print(f"dcfst-train {command}: stopped; what was finished is kept", file=sys.stderr)
        raise SystemExit(130) from None


def _in(module: str) -> Callable[[list[str]], None]:
    """A command's entry point, imported when it is called: `fit` starts without the others."""

    def run(arguments: list[str]) -> None:
        import_module(f"dcfst_training.{module}").main(arguments)

    return run


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "fit": fit,
    "pack": _in("pack"),
    "evaluate": _in("evaluate"),
    "report": _in("report"),
    "compare": _in("compare"),
    "export": export.main,
    "bench": _in("benchmarks"),
}


if __name__ == "__main__":
    main()
