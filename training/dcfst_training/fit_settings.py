"""The settings of `dcfst-train fit`: flags and YAML files, by LightningCLI where it can run.

LightningCLI needs jsonargparse, which checks every value and documents it in `--help`. Where that
is missing, as on a GPU machine that has PyTorch and Lightning alone, `read_plainly` reads the same
recipes and flags with less checking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import yaml
from lightning import Trainer, seed_everything

from dcfst_training.augmentation import Augmentation
from dcfst_training.data import PairDataModule
from dcfst_training.errors import SettingsError
from dcfst_training.fit import PARTS, TRAINER_DEFAULTS, RunOptions, Session
from dcfst_training.module import DCFSTModule
from dcfst_training.pairs import CropOptions


def read_settings(arguments: Sequence[str]) -> Session:
    """The session that flags and recipes describe; SettingsError, or the parser's own exit."""
    if find_spec("jsonargparse") is None:
        print("without jsonargparse: settings are read without its checks, and --help is missing")
        return read_plainly(arguments)
    return _read_by_lightning(arguments)


def _read_by_lightning(arguments: Sequence[str]) -> Session:
    from typing import Literal

    from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

    class TrainingCLI(LightningCLI):
        """LightningCLI with the options of a run."""

        def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
            """The settings that belong to neither model, data nor trainer."""
            parser.add_class_arguments(RunOptions, skip={"init_parts"})
            parser.add_argument(
                "--init_parts",
                default=list(PARTS),
                type=list[Literal[PARTS]],  # type: ignore[valid-type]
                help="parts of the network to take from --init_from; the others start as usual",
            )

            # Without a logger Lightning writes the settings there.
            parser.link_arguments("run", "trainer.default_root_dir")

        def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
            """Without Lightning's warning that the process has a command line as well."""
            self.config = parser.parse_args(args)

    cli = TrainingCLI(
        DCFSTModule,
        PairDataModule,
        args=list(arguments),
        run=False,
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        trainer_defaults=TRAINER_DEFAULTS,
    )
    options = RunOptions(**{item.name: cli.config[item.name] for item in fields(RunOptions)})
    trainer = cli.config.trainer
    checkpoints = trainer.enable_checkpointing is not False
    return Session(options, cli.model, cli.datamodule, cli.trainer, trainer.logger, checkpoints)


def read_plainly(arguments: Sequence[str]) -> Session:
    """As LightningCLI reads them: `--config FILE` and `--part.name=value` or `--part.name value`,
    later ones winning. SettingsError for a setting that does not exist."""
    chosen: dict[str, Any] = {}
    for name, value in _flags(arguments):
        if name == "config":
            _merge(chosen, _recipe(Path(value)))
        else:
            nested: Any = yaml.safe_load(value)
            for part in reversed(name.split(".")):
                nested = {part: nested}
            _merge(chosen, nested)
    seed_everything(chosen.pop("seed_everything", 0))
    model, data, trainer = (chosen.pop(part, {}) for part in ("model", "data", "trainer"))
    crop = data.pop("crop", {})
    strengths = _build(Augmentation, "data.crop.augmentation", crop.pop("augmentation", {}))
    crop = _build(CropOptions, "data.crop", {**crop, "augmentation": strengths})
    if not isinstance(trainer.get("logger"), bool | None):
        raise SettingsError(
            "expected jsonargparse for --trainer.logger with other loggers: pip "
            "install 'jsonargparse[signatures]'"
        )
    return Session(
        _build(RunOptions, "", chosen),
        _build(DCFSTModule, "model", model),
        _build(PairDataModule, "data", {**data, "crop": crop}),
        _build(Trainer, "trainer", {**TRAINER_DEFAULTS, **trainer}),
        trainer.get("logger"),
        trainer.get("enable_checkpointing") is not False,
    )


def _flags(arguments: Sequence[str]) -> list[tuple[str, str]]:
    found, left = [], list(arguments)
    while left:
        flag = left.pop(0)
        name, equals, value = flag.removeprefix("--").partition("=")
        if not flag.startswith("--") or not (equals or left):
            raise SettingsError(f"expected --part.name=value or --config FILE; got {flag}")
        found.append((name, value if equals else left.pop(0)))
    return found


def _recipe(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"expected a YAML recipe in {path}; {error}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"expected settings by name in {path}; got {type(content).__name__}")
    return content


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict) and name != "weights":
            _merge(into[name], value)
        else:
            into[name] = value


def _build(kind: type, part: str, settings: dict[str, Any]) -> Any:
    known = set(signature(kind).parameters)
    unknown = sorted(set(settings) - known)
    if unknown:
        names = ", ".join(f"--{part}.{name}" if part else f"--{name}" for name in unknown)
        raise SettingsError(
            f"expected settings that exist; {names} does not: see docs/training.md"
        )
    return kind(**settings)
