"""Going on with a run: only with the settings that it began with, or it would be another run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer

from dcfst_training.errors import SettingsError

log = logging.getLogger(__name__)
KEY = "run_settings"
FREE = ("model.trunk_weights", "data.workers", "data.validation_pairs")
"""Settings that change nothing in a run that goes on (streams follow `data.workers`, though)."""
PLACES = (
    *("got10k", "lasot", "trackingnet", "coco", "masks"),
    *("video_folders", "still_folders", "shards"),
)
TRAINER = {
    "processes": "its steps then have {new} / {old} of the pairs that they had",
    "accumulate_grad_batches": "its steps then have {new} / {old} of the pairs that they had",
    "max_epochs": "the learning rates then follow a run of that length from here on",
    "max_time": "the learning rates then follow a run of that length from here on",
    "precision": "the numbers are then rounded otherwise than before",
}
"""Settings that may change between sessions, with what that means."""


def trainer_settings(trainer: Trainer) -> dict[str, Any]:
    """What a checkpoint keeps of the trainer, to be compared when the run goes on."""
    timers = [item for item in trainer.callbacks if isinstance(item, Timer)]
    limit = sum((timer.time_remaining() or 0) + timer.time_elapsed() for timer in timers)
    return {
        "processes": trainer.world_size,
        "accumulate_grad_batches": trainer.accumulate_grad_batches,
        "max_epochs": trainer.max_epochs,
        "max_time": f"{limit:.0f} s" if timers else None,
        "precision": str(trainer.precision),
    }


def check_resume(
    checkpoint: dict[str, Any],
    path: Path,
    model: LightningModule,
    data: LightningDataModule,
    trainer: Trainer,
) -> None:
    """Compare a run's settings with those that its checkpoint holds.

    SettingsError where the run would not be the one that was begun: other settings of the network,
    of its training or of the pairs. A warning where it is, in another way: other processes,
    another length, other places of the data.
    """
    refused = []
    parts = {"model": ("hyper_parameters", model), "data": ("datamodule_hyper_parameters", data)}
    for part, (key, module) in parts.items():
        for name, old, new in _differences(checkpoint.get(key, {}), dict(module.hparams)):
            setting = f"{part}.{name}"
            if name in PLACES and bool(old) == bool(new):
                log.warning(
                    "--%s was %s when the run began and is %s now: it goes on with the same pairs "
                    "only if the data there are the same",
                    *(setting, old, new),
                )
            elif setting not in FREE or (name == "workers" and getattr(data, "remote", None)):
                refused.append(f"--{setting} {_shown(old)} (got {_shown(new)})")
    if refused:
        raise SettingsError(
            f"expected the settings with which the run in {path.parent} began: "
            f"{', '.join(refused)}. Give those to go on, or start another run from its weights: "
            f"--run OTHER_FOLDER --init_from {path}"
        )
    for name, old, new in _differences(checkpoint.get(KEY, {}), trainer_settings(trainer)):
        log.warning(
            "the run goes on with %s %s, which was %s: %s",
            *(name, _shown(new), _shown(old), TRAINER[name].format(old=old, new=new)),
        )


def _differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Name, old and new value of what differs, in nested settings too; what one of them does not
    know, written by another version, is left out."""
    for name in sorted(set(old) & set(new)):
        before, now = _plain(old[name]), _plain(new[name])
        if name.startswith("_") or before == now:
            continue
        if isinstance(before, dict) and isinstance(now, dict):
            for inner, *values in _differences(before, now):
                yield f"{name}.{inner}", *values
        else:
            yield name, before, now


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    return "unset" if value is None else str(value)
