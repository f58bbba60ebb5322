"""A training step of both losses, and the same step without each of its two shortcuts.

As trained: the fully connected layers of the test crops are collapsed into one kernel, and the
sample RoIs are pooled as a grid. "every RoI": the fully connected layers run for each test RoI.
"general pooling": each RoI is pooled on its own. All three give the same losses and gradients.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from dcfst_core import choose_device
from dcfst_core.evaluation.tables import format_table
from dcfst_core.network.backbone import patch_to_feature
from dcfst_core.network.embedding import EmbeddingBranch
from dcfst_core.network.prroi_pool import prroi_pool
from dcfst_core.network.samples import SampleGrid
from dcfst_training.benchmarks import positive_ints
from dcfst_training.benchmarks.meter import clock_name, measure, write_json
from dcfst_training.module import Blocks, DCFSTModule
from dcfst_training.pairs import Example

PATCH = 288


class EveryRoI(DCFSTModule):
    """The test scores as Z w from the data matrix Z of all test RoIs."""

    def score_test(self, features: Blocks, regressor: Tensor, target_wh: Tensor) -> Tensor:
        """Score maps (B, n, n)."""
        z = self.net.embedding.embed(features, self.grid, target_wh)
        return (z.float() @ regressor[..., None]).view(len(z), self.grid.size, self.grid.size)


class GeneralBranch(EmbeddingBranch):
    """Pools each sample RoI on its own, as RoIs that form no grid have to be."""

    def pool(self, features: Tensor, grid: SampleGrid, target_wh: Tensor) -> Tensor:
        """Pooled features P (B, N, C * bins * bins)."""
        rois = patch_to_feature(grid.rois_xyxy(target_wh), self.stride)
        return prroi_pool(features, rois, self.bins).flatten(2)

    def score(
        self, features: Tensor, kernel: Tensor, grid: SampleGrid, target_wh: Tensor
    ) -> Tensor:
        """P kernel as a map (B, n, n)."""
        pooled = self.pool(features, grid, target_wh)
        return (pooled @ kernel.flatten(1)[..., None]).view(len(pooled), grid.size, grid.size)


class GeneralPooling(DCFSTModule):
    """Pools train and test RoIs one by one; the fully connected layers stay collapsed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for branch in (self.net.embedding.block3, self.net.embedding.block4):
            branch.__class__ = GeneralBranch  # the same layers with other ways through them


FORMS = {"as trained": DCFSTModule, "every RoI": EveryRoI, "general pooling": GeneralPooling}


def main(arguments: list[str]) -> None:
    """Entry point of `dcfst-train bench step`."""
    parser = argparse.ArgumentParser(prog="dcfst-train bench step", description=__doc__)
    parser.add_argument("--batch", type=positive_ints, default=[8], help="pairs a step, e.g. 8,48")
    parser.add_argument(
        "--grid", type=int, default=31, help="train RoIs along a side (31: N = 961)"
    )
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS))
    parser.add_argument("--precision", default="bf16", choices=["bf16", "float32"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto", help="cpu or cuda")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    rows = []
    cases = [(batch, form) for batch in options.batch for form in options.forms]
    for batch, form in tqdm(cases, desc="steps", unit="case"):
        rows.append(_row(form, batch, options, device))
        tqdm.write(f"{form}, {batch} pairs: {rows[-1]['seconds']:.2f} s")
    print(_table(rows, device, options))
    if options.json is not None:
        write_json(options.json, "step", rows)


def make_batch(pairs: int, device: torch.device, proposals: int = 16) -> Example:
    """Random images with a target of the usual size, which is all that the cost depends on."""
    generator = torch.Generator().manual_seed(0)
    shape = (pairs, 3, PATCH, PATCH)
    patches = torch.randint(0, 256, (2, *shape), dtype=torch.uint8, generator=generator)
    size = torch.tensor([48.0, 69.0]).expand(pairs, 2)  # sqrt(48 * 69) = 288 / 5
    box = torch.cat(((PATCH - size) / 2, size), dim=1)
    moved = box.clone()
    moved[:, :2] += torch.rand(pairs, 2, generator=generator) * 40
    corners = torch.cat((moved[:, :2], moved[:, :2] + moved[:, 2:]), dim=1)[:, None]
    noise = torch.randn(pairs, proposals, 4, generator=generator) * 5
    batch = {
        **{"train_patch": patches[0], "test_patch": patches[1]},
        **{"train_box": box, "test_box": moved, "proposals": corners + noise},
        "proposal_ious": torch.rand(pairs, proposals, generator=generator),
        "exact": torch.ones(pairs, dtype=torch.bool),
        "clip": torch.arange(pairs),
    }
    return {name: value.to(device) for name, value in batch.items()}


def _row(
    form: str, batch: int, options: argparse.Namespace, device: torch.device
) -> dict[str, Any]:
    torch.manual_seed(0)
    module = FORMS[form](trunk_weights="random", start="gaussian", train_grid=options.grid)
    module.to(device).train()
    module.setup("fit")
    learned = [value for value in module.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=1e-5)
    pairs = make_batch(batch, device)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16")

    def step() -> None:
        optimizer.zero_grad()
        with autocast:
            loss = module.losses(pairs)["loss"]
        loss.backward()
        optimizer.step()

    try:
        cost = measure(step, device, options.repeats)
        seconds, peak_mib = cost.seconds, cost.peak_mib
    except torch.OutOfMemoryError:
        seconds = peak_mib = float("nan")
    return {"form": form, "batch": batch, "seconds": seconds, "peak_mib": peak_mib}


def _table(rows: list[dict[str, Any]], device: torch.device, options: argparse.Namespace) -> str:
    base = {row["batch"]: row for row in reversed(rows) if row["form"] == "as trained"}
    nothing = {"seconds": float("nan"), "peak_mib": float("nan")}
    cells = []
    for row in rows:
        first = base.get(row["batch"], nothing)
        ratios = (row[key] / first[key] for key in ("seconds", "peak_mib"))
        per_pair = 1e3 * row["seconds"] / row["batch"]
        cost = (row["seconds"], per_pair, row["peak_mib"])
        cells.append((row["form"], row["batch"], *cost, *ratios))
    headers = ("form", "pairs", "s a step", "ms a pair", "peak MiB", "x time", "x memory")
    head = f"{clock_name(device)}, {options.precision}, N = {options.grid**2}"
    return f"{head}\n\n{format_table(headers, cells, digits=2)}"
