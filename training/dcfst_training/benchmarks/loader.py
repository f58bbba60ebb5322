"""Training pairs a second that one loader process makes, from folders and from packed shards.

A GPU that does n steps a second needs n * batch size / this figure of loader processes.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import yaml
from torch.utils.data import DataLoader

from dcfst_core.evaluation.tables import format_table
from dcfst_training.benchmarks.meter import write_json
from dcfst_training.data import PairDataModule
from dcfst_training.mixture import FLAGS
from dcfst_training.processes import begin_worker


def main(arguments: list[str]) -> None:
    """Entry point of `dcfst-train bench loader`."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog="dcfst-train bench loader", description=__doc__)
    parser.add_argument("--config", type=Path, help="recipe of `fit`, whose `data` is measured")
    parser.add_argument("--pairs", type=int, default=256, help="pairs to measure on (256)")
    parser.add_argument("--workers", type=int, default=1, help="loader processes (1)")
    parser.add_argument("--shards", help="also measure this folder of `dcfst-train pack`")
    parser.add_argument("--json", type=Path, help="write the measurements")
    parser.add_class_arguments(PairDataModule, "data")
    recipe, rest = _take_config(arguments)
    chosen = parser.parse_args([*recipe, *rest])
    settings = parser.instantiate_classes(chosen).data
    sources = {_describe(settings): settings}
    if chosen.shards:
        common = {name: settings.hparams[name] for name in ("batch_size", "max_gap")}
        sources[chosen.shards] = PairDataModule(shards=chosen.shards, crop=settings.crop, **common)
    rows = []
    for name, data in sources.items():
        print(f"{name}: {chosen.pairs} pairs")
        rows.append({"source": name, **measure_loader(data, chosen.pairs, chosen.workers)})
    headers = ("source", "processes", "pairs / s", "pairs / s and process", "CPU ms a pair")
    print(format_table(headers, [tuple(row.values()) for row in rows], digits=1))
    if chosen.json is not None:
        write_json(chosen.json, "loader", rows)


def measure_loader(data: PairDataModule, pairs: int, workers: int) -> dict[str, float]:
    """Draw `pairs` pairs through `workers` processes as training does; starting them counts not.

    The time by the clock is that of waiting for batches with nothing else to do; CPU time is that
    of the processes, start included, less that of a start.
    """
    examples = data.examples(pairs + workers * data.hparams.batch_size)
    loader = DataLoader(
        examples,
        batch_size=data.hparams.batch_size,
        num_workers=workers,
        worker_init_fn=begin_worker,
    )
    before = _children_cpu_s()
    batches = iter(loader)
    for _ in range(workers):
        next(batches)
    start_s, done = time.perf_counter(), 0
    for batch in batches:
        done += len(batch["train_box"])
    seconds = time.perf_counter() - start_s
    del batches
    everything = len(examples)
    return {
        "processes": workers,
        "pairs_per_second": done / seconds,
        "pairs_per_second_and_process": done / seconds / workers,
        "cpu_ms_per_pair": 1e3 * (_children_cpu_s() - before) / everything,
    }


def _take_config(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The recipe's `data` as a flag that later flags win over; model and trainer do not matter."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", type=Path)
    known, _ = first.parse_known_args(arguments)
    if known.config is None:
        return [], arguments
    data = yaml.safe_load(known.config.read_text()).get("data", {})
    return [f"--data={json.dumps(data)}"], arguments


def _describe(data: PairDataModule) -> str:
    drawn = f"{data.hparams.synthetic} synthetic clips" if data.hparams.synthetic else ""
    folders = [str(data.hparams[name]) for name in FLAGS if name != "synthetic"]
    return ", ".join([name for name in folders if name != "None"] + [drawn] * bool(drawn))


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
