"""Turn a training checkpoint into the safetensors + JSON that the tracker loads."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from dcfst_core.checkpoint import load_model, save_model
from dcfst_core.model import Architecture, DCFSTNet

PREFIX = "net."


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A Lightning checkpoint as plain data; nothing in it is executed."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"expected a training checkpoint at {path}; there is none")
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint


def load_network(net: DCFSTNet, path: str | Path) -> None:
    """Copy the network's weights of a training checkpoint, or of exported weights, into `net`."""
    if Path(path).suffix == ".safetensors":
        net.load_state_dict(load_model(path).state_dict())
        return
    state = read_checkpoint(path)["state_dict"]
    net.load_state_dict(
        {name.removeprefix(PREFIX): value for name, value in state.items() if PREFIX in name}
    )


def main(arguments: list[str]) -> None:
    """Entry point of `dcfst-train export`."""
    parser = argparse.ArgumentParser(prog="dcfst-train export", description=__doc__)
    parser.add_argument("checkpoint", help="last.ckpt of a run")
    parser.add_argument("out", help="file to write, ending in .safetensors")
    parser.add_argument("--note", default="", help="recipe and data, for the metadata")
    options = parser.parse_args(arguments)
    export_weights(options.checkpoint, options.out, options.note)
    size_mb = Path(options.out).stat().st_size / 1e6
    print(f"wrote {options.out} ({size_mb:.1f} MB) and {Path(options.out).stem}.json")


def export_weights(path: str | Path, out: str | Path, note: str = "") -> None:
    """Write `out` (.safetensors) and its .json from a training checkpoint.

    Exported weights in place of a checkpoint are copied, for tools that take either.
    """
    if Path(path).suffix == ".safetensors":
        model = load_model(path)
        save_model(model, out, model.metadata)
        return
    checkpoint = read_checkpoint(path)
    settings = checkpoint["hyper_parameters"]
    net = DCFSTNet(Architecture(residual=settings["start"] == "plain"))
    load_network(net, path)
    metadata = {
        "name": "DCFST ResNet-18",
        "note": note,
        "steps": checkpoint["global_step"],
        "epoch": checkpoint["epoch"],
        "exported": time.strftime("%Y-%m-%d"),
        "settings": {name: value for name, value in settings.items() if _is_plain(value)},
    }
    save_model(net, out, metadata)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
