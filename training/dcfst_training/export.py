"""Turn a training checkpoint into the safetensors + JSON that the tracker loads."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 (what torch.load refuses with)
from typing import Any

import torch

from dcfst_core.network.checkpoint import load_model, save_model
from dcfst_core.network.model import Architecture, DCFSTNet
from dcfst_training.errors import SettingsError

PREFIX = "net."


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A Lightning checkpoint as plain data; nothing in it is executed."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"expected a training checkpoint at {path}; there is none")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint["state_dict"], checkpoint["global_step"]
    except (RuntimeError, EOFError, OSError, KeyError, TypeError, UnpicklingError) as error:
        raise SettingsError(
            f"expected a training checkpoint in {path}; the file cannot be read "
            f"({type(error).__name__}): it is cut short, damaged or another file. Move it away "
            "to begin again, or put another checkpoint in its place"
        ) from error
    return checkpoint


def load_network(
    net: DCFSTNet, path: str | Path, parts: Sequence[str] = ("trunk", "embedding", "iou_net")
) -> None:
    """Copy parts of a training checkpoint's network, or of exported weights, into `net`.

    Raises SettingsError when the head there is of the other form, residual or not: its tensors
    would fit and mean something else.
    """
    if Path(path).suffix == ".safetensors":
        model = load_model(path)
        state, residual = model.state_dict(), model.architecture.residual
    else:
        checkpoint = read_checkpoint(path)
        state = {
            name.removeprefix(PREFIX): value
            for name, value in checkpoint["state_dict"].items()
            if name.startswith(PREFIX)
        }
        residual = is_residual(checkpoint["hyper_parameters"])
    if "embedding" in parts and residual != net.architecture.residual:
        forms = {True: "plain", False: "gaussian"}
        raise SettingsError(
            f"expected weights of a head with --model.start {forms[net.architecture.residual]}; "
            f"{path} has one with --model.start {forms[residual]}: choose that start, or leave "
            "the embedding out of --init_parts"
        )
    for part in parts:
        prefix = f"{part}."
        getattr(net, part).load_state_dict(
            {n.removeprefix(prefix): value for n, value in state.items() if n.startswith(prefix)}
        )


def fit_regularization(path: str | Path) -> float | None:
    """The lambda that a checkpoint's or exported weights' IoU predictor was trained to be fitted
    with; None where it was trained without the fit."""
    if Path(path).suffix == ".safetensors":
        return load_model(path).metadata.get("fit_regularization")
    return _learned_fit(read_checkpoint(path))


def _learned_fit(checkpoint: dict[str, Any]) -> float | None:
    learned = checkpoint["state_dict"].get("log_fit_regularization")
    return None if learned is None else float(learned.exp())


def is_residual(hyper_parameters: dict[str, Any]) -> bool:
    """Whether the head of a run with these settings adds to the trunk's features."""
    return bool(hyper_parameters["start"] == "plain")


def main(arguments: list[str]) -> None:
    """Entry point of `dcfst-train export`."""
    parser = argparse.ArgumentParser(prog="dcfst-train export", description=__doc__)
    parser.add_argument("checkpoint", help="last.ckpt of a run, or exported weights")
    parser.add_argument("out", help="file to write, ending in .safetensors")
    parser.add_argument(
        "--average-with",
        nargs="+",
        default=[],
        metavar="WEIGHTS",
        help="other checkpoints or exported weights; the mean of all is written (weights of one "
        "lineage, such as a run and what it started from, often do better together)",
    )
    parser.add_argument("--note", default="", help="recipe and data, for the metadata")
    options = parser.parse_args(arguments)
    export_weights(options.checkpoint, options.out, options.note, options.average_with)
    size_mb = Path(options.out).stat().st_size / 1e6
    print(f"wrote {options.out} ({size_mb:.1f} MB) and {Path(options.out).stem}.json")


def export_weights(
    path: str | Path, out: str | Path, note: str = "", average_with: Sequence[str | Path] = ()
) -> None:
    """Write `out` (.safetensors) and its .json from a training checkpoint or exported weights.

    `average_with`: other weights of the same form; the mean of all is written. `note`: for the
    metadata; empty keeps the one that exported weights have. SettingsError for another file name.
    """
    out = Path(out)
    if out.suffix != ".safetensors":
        raise SettingsError(f"expected a file name ending in .safetensors to write; got {out}")
    if Path(path).suffix == ".safetensors":
        net = load_model(path)
        metadata = dict(net.metadata)
    else:
        net, metadata = _from_checkpoint(read_checkpoint(path), path)
    if note or "note" not in metadata:
        metadata["note"] = note
    if average_with:
        metadata["averaged_with"] = [str(other) for other in average_with]
        _average_in(net, average_with)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_model(net, out, metadata)
    out.chmod(out.with_suffix(".json").stat().st_mode)  # safetensors writes for its owner alone


def _from_checkpoint(
    checkpoint: dict[str, Any], path: str | Path
) -> tuple[DCFSTNet, dict[str, Any]]:
    settings = checkpoint["hyper_parameters"]
    net = DCFSTNet(Architecture(residual=is_residual(settings)))
    load_network(net, path)
    metadata = {
        "name": "DCFST ResNet-18",
        "steps": checkpoint["global_step"],
        "epoch": checkpoint["epoch"],
        "exported": time.strftime("%Y-%m-%d"),
        "settings": {name: value for name, value in settings.items() if _is_plain(value)},
    }
    if (strength := _learned_fit(checkpoint)) is not None:
        metadata["fit_regularization"] = strength
    return net, metadata


@torch.no_grad()
def _average_in(net: DCFSTNet, others: Sequence[str | Path]) -> None:
    """Replace the network's floating-point numbers by their mean with those of other weights."""
    total = net.state_dict()
    for path in others:
        other = DCFSTNet(net.architecture)
        load_network(other, path)
        for name, value in other.state_dict().items():
            if value.is_floating_point():
                total[name] += value
    for value in total.values():
        if value.is_floating_point():
            value /= len(others) + 1


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
