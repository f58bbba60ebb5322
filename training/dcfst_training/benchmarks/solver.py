"""Dual (Woodbury, paper Eq. 3) against primal ridge regression: time and memory over N and D.

Forward and backward of one system with N samples of D dimensions in float32. The dual form
factorises N x N, the primal one D x D, so that they should cross at N = D.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dcfst_core import choose_device
from dcfst_core.evaluation.tables import format_table
from dcfst_core.network.ridge import ridge_solve_dual, ridge_solve_primal
from dcfst_training.benchmarks import positive_ints
from dcfst_training.benchmarks.meter import Cost, clock_name, measure, write_json

SOLVERS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "dual": ridge_solve_dual,
    "primal": ridge_solve_primal,
}
Row = dict[str, Any]


def main(arguments: list[str]) -> None:
    """Entry point of `dcfst-train bench solver`."""
    parser = argparse.ArgumentParser(prog="dcfst-train bench solver", description=__doc__)
    parser.add_argument("--samples", type=positive_ints, default=[225, 441, 961, 1681])
    parser.add_argument("--dimensions", type=positive_ints, default=[256, 512, 1024, 2048, 4096])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them as PNG")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    rows = run(options.samples, options.dimensions, device, options.repeats)
    print(table(rows, device))
    for samples, crossing in crossovers(rows).items():
        print(f"N = {samples}: equally quick at D = {crossing:.0f}")
    if options.json is not None:
        write_json(options.json, "solver", rows)
    if options.plot is not None:
        draw(rows, options.plot, clock_name(device))
        print(f"wrote {options.plot}")


def run(
    samples: Sequence[int], dimensions: Sequence[int], device: torch.device, repeats: int = 3
) -> list[Row]:
    """One row for each N and D: seconds and MiB of both forms, forward and backward."""
    rows = []
    generator = torch.Generator().manual_seed(0)
    cells = [(n, d) for n in samples for d in dimensions]
    for n, d in tqdm(cells, desc="ridge regression", unit="size"):
        x = torch.randn(1, n, d, generator=generator).to(device) / d**0.5
        y = torch.rand(1, n, generator=generator).to(device)
        row: Row = {"samples": n, "dimensions": d}
        for name, solve in SOLVERS.items():
            cost = _measure(solve, x, y, device, repeats)
            row |= {f"{name}_seconds": cost.seconds, f"{name}_mib": cost.peak_mib}
        rows.append(row)
    return rows


def _measure(
    solve: Callable[[Tensor, Tensor, float], Tensor],
    x: Tensor,
    y: Tensor,
    device: torch.device,
    repeats: int,
) -> Cost:
    def step() -> None:
        leaf = x.detach().requires_grad_()
        solve(leaf, y, 0.1).square().sum().backward()

    return measure(step, device, repeats)


def table(rows: Sequence[Row], device: torch.device) -> str:
    """Milliseconds and MiB of both forms."""
    cells = [
        (
            *(str(row["samples"]), row["dimensions"]),
            *(1e3 * row["dual_seconds"], 1e3 * row["primal_seconds"]),
            row["primal_seconds"] / row["dual_seconds"],
            *(row["dual_mib"], row["primal_mib"]),
        )
        for row in rows
    ]
    headers = ("N", "D", "dual ms", "primal ms", "primal / dual", "dual MiB", "primal MiB")
    return f"{clock_name(device)}\n\n{format_table(headers, cells, digits=1)}"


def crossovers(rows: Sequence[Row]) -> dict[int, float]:
    """For each N the D at which both forms take equally long; those that never cross are left out.

    By interpolation of the logarithms.
    """
    found = {}
    for n in sorted({row["samples"] for row in rows}):
        mine = sorted((r for r in rows if r["samples"] == n), key=lambda r: r["dimensions"])
        log_d = np.log([r["dimensions"] for r in mine])
        lead = np.log([r["primal_seconds"] / r["dual_seconds"] for r in mine])
        place = np.flatnonzero((lead[:-1] <= 0) & (lead[1:] > 0))
        if len(place):
            low = int(place[-1])
            part = -lead[low] / (lead[low + 1] - lead[low])
            found[n] = float(np.exp(log_d[low] + part * (log_d[low + 1] - log_d[low])))
    return found


def draw(rows: Sequence[Row], path: Path, clock: str) -> None:
    """Time over D, and the two forms' ratios over D / N: the curves of all N cross 1 at D = N."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure, (times, time_ratio, memory_ratio) = pyplot.subplots(1, 3, figsize=(15, 4.4))
    for index, n in enumerate(sorted({row["samples"] for row in rows})):
        mine = sorted((r for r in rows if r["samples"] == n), key=lambda r: r["dimensions"])
        d = np.array([r["dimensions"] for r in mine])
        value = {key: np.array([r[key] for r in mine]) for key in mine[0]}
        colour = f"C{index}"
        times.plot(d, 1e3 * value["dual_seconds"], "o-", color=colour, label=f"N = {n}, dual")
        times.plot(d, 1e3 * value["primal_seconds"], "s--", color=colour, label="primal")
        ratio = value["primal_seconds"] / value["dual_seconds"]
        time_ratio.plot(d / n, ratio, "o-", color=colour, label=f"N = {n}")
        memory_ratio.plot(
            d / n, value["primal_mib"] / value["dual_mib"], "o-", color=colour, label=f"N = {n}"
        )
    times.set(title=f"forward + backward ({clock})", xlabel="D", ylabel="ms")
    time_ratio.set(title="time: primal / dual", xlabel="D / N")
    memory_ratio.set(title="peak memory: primal / dual", xlabel="D / N")
    for axes in (time_ratio, memory_ratio):
        axes.axhline(1, color="grey", linewidth=0.8)
        axes.axvline(1, color="grey", linewidth=0.8)
    for axes in (times, time_ratio, memory_ratio):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, ncols=2 if axes is times else 1)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
