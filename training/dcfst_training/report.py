"""Draw a run: its curves over all sessions, and sample pairs with what the network makes of them.

Writes curves.png and pairs.png into RUN/report. Runs beside the training without disturbing it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import default_collate
from tqdm import tqdm

from dcfst_training.augmentation import Augmentation
from dcfst_training.curves import draw_curves
from dcfst_training.data import PairDataModule
from dcfst_training.export import load_network, read_checkpoint
from dcfst_training.module import DCFSTModule
from dcfst_training.pair_pictures import draw_pairs
from dcfst_training.pairs import CropOptions


def restore(checkpoint_path: Path) -> tuple[DCFSTModule, PairDataModule]:
    """The network and the data of a run as its checkpoint describes them."""
    checkpoint = read_checkpoint(checkpoint_path)
    settings = _plain(checkpoint["hyper_parameters"])
    module = DCFSTModule(**(settings | {"trunk_weights": "random"}))
    load_network(module.net, checkpoint_path)
    data = _plain(checkpoint["datamodule_hyper_parameters"])
    if data.get("crop"):
        crop = dict(data["crop"])
        crop["augmentation"] = Augmentation(**crop.get("augmentation", {}))
        data["crop"] = CropOptions(**crop)
    return module, PairDataModule(**data)


def main(arguments: list[str]) -> None:
    """Entry point of `dcfst-train report`."""
    parser = argparse.ArgumentParser(prog="dcfst-train report", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("--out", type=Path, help="folder to write to; default RUN/report")
    parser.add_argument("--pairs", type=int, default=6, help="pairs to draw; 0 for none")
    parser.add_argument("--training_pairs", action="store_true", help="not the held-out ones")
    options = parser.parse_args(arguments)
    out = options.out or options.run / "report"
    out.mkdir(parents=True, exist_ok=True)
    draw_curves(options.run, out / "curves.png")
    print(f"wrote {out / 'curves.png'}")
    checkpoint = options.run / "last.ckpt"
    if not options.pairs:
        return
    if not checkpoint.is_file():
        print(f"no pairs drawn: there is no checkpoint at {checkpoint} yet")
        return
    module, data = restore(checkpoint)
    examples = data.examples(options.pairs, held_out=not options.training_pairs)
    chosen = [examples[index] for index in tqdm(range(options.pairs), desc="pairs", unit="pair")]
    with torch.inference_mode():
        draw_pairs(module, default_collate(chosen), out / "pairs.png")
    print(f"wrote {out / 'pairs.png'}")


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if not name.startswith("_")}
