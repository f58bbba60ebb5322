#!/usr/bin/env python3
"""Is this tree slower than a given commit? Both are measured in turns on this machine.

    make bench-gate BASE=main            python scripts/bench_gate.py --base main

Each round starts a process for either tree, in changing order, that tracks the same synthetic clip
with the same presets; of each frame the fastest of some passes counts, so that what else runs on
the machine is mostly left out. From the rounds' ratios come a mean and its 95 % interval. Rounds
go on until the interval is clear of the limit, at most `--rounds` of them. Exit status: 0 not
slower, 1 slower by the limit or more, 2 the noise hides the answer or something failed.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FEWEST_ROUNDS = 4
PRESETS = ("default", "fast")
# Student's t for 95 %, two-sided, by degrees of freedom (3 to 19).
_T95 = (3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11)

Milliseconds = dict[str, float]


class GateError(RuntimeError):
    """What keeps the comparison from being made."""


@dataclass(frozen=True)
class Ratio:
    """New over old time: the geometric mean of the rounds with its 95 % interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Ratio:
        """From at least two rounds."""
        logs = [math.log(ratio) for ratio in ratios]
        freedom = len(logs) - 1
        t = _T95[min(max(freedom - 3, 0), len(_T95) - 1)] if freedom >= 3 else 12.7
        half = t * statistics.stdev(logs) / math.sqrt(len(logs))
        mean = statistics.fmean(logs)
        return cls(math.exp(mean), math.exp(mean - half), math.exp(mean + half))

    def verdict(self, limit: float) -> str | None:
        """ "slower", "not slower", or None where the interval holds the limit."""
        if self.low >= limit:
            return "slower"
        return "not slower" if self.high < limit else None


def measure(passes: int, frames: int) -> Milliseconds:
    """Milliseconds a frame of each preset with the `dcfst_core` that is imported."""
    import time

    import torch

    import dcfst_core
    from dcfst_core.evaluation.synthetic import SyntheticClip

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "0")) or torch.get_num_threads())
    model = dcfst_core.load_model()
    clip = SyntheticClip(frames=frames, size=(640, 480), target=(80, 80))
    pictures, box = list(clip), clip.boxes_xywh()[0].tolist()
    found = {}
    for preset in PRESETS:
        tracker = dcfst_core.Tracker(model, getattr(dcfst_core.TrackerConfig, preset)())
        fastest = [math.inf] * len(pictures)
        for _ in range(passes):
            tracker.init(pictures[0], box)
            for index, picture in enumerate(pictures[1:], start=1):
                start_s = time.perf_counter()
                tracker.update(picture)
                fastest[index] = min(fastest[index], 1e3 * (time.perf_counter() - start_s))
        found[preset] = statistics.fmean(fastest[1:])
    return found


def measured_in(tree: Path, passes: int, frames: int) -> Milliseconds:
    """`measure` in a process that imports `dcfst_core` from this tree."""
    code = (
        "import json, sys, pathlib; sys.path[0:0] = [sys.argv[1], sys.argv[2]]\n"
        "import bench_gate, dcfst_core\n"
        "assert pathlib.Path(dcfst_core.__file__).is_relative_to(sys.argv[1]), dcfst_core\n"
        "print(json.dumps(bench_gate.measure(int(sys.argv[3]), int(sys.argv[4]))))"
    )
    places = [str(tree), str(Path(__file__).resolve().parent), str(passes), str(frames)]
    done = subprocess.run([sys.executable, "-c", code, *places], capture_output=True, text=True)
    if done.returncode:
        raise GateError(f"expected a measurement of {tree}; it failed:\n{done.stderr.strip()}")
    result: Milliseconds = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(
    old: Callable[[], Milliseconds], new: Callable[[], Milliseconds], limit: float, rounds: int
) -> dict[str, Ratio]:
    """Measure both in turns until every preset's verdict is clear, at most `rounds` times."""
    ratios: dict[str, list[float]] = {}
    summary: dict[str, Ratio] = {}
    for number in range(rounds):
        # Whoever goes second finds a warmer machine: each does so every other time.
        if number % 2:
            first, second = new(), old()
            pair = (second, first)
        else:
            pair = (old(), new())
        for name in pair[0]:
            ratios.setdefault(name, []).append(pair[1][name] / pair[0][name])
        said = ", ".join(f"{n} {pair[0][n]:.1f} -> {pair[1][n]:.1f} ms" for n in pair[0])
        print(f"round {number + 1}: {said}", flush=True)
        if number + 1 >= FEWEST_ROUNDS:
            summary = {name: Ratio.of(values) for name, values in ratios.items()}
            if all(ratio.verdict(limit) for ratio in summary.values()):
                break
    return summary


def conclude(summary: dict[str, Ratio], limit: float) -> int:
    """Print what was found; returns the exit status."""
    verdicts = {name: ratio.verdict(limit) for name, ratio in summary.items()}
    for name, ratio in summary.items():
        print(
            f"{name}: {ratio.mean:.3f} times the base's time "
            f"(95 %: {ratio.low:.3f} to {ratio.high:.3f}): {verdicts[name] or 'too noisy to tell'}"
        )
    if "slower" in verdicts.values():
        return 1
    return 0 if all(verdicts.values()) else 2


def extract(revision: str, folder: Path) -> None:
    """Put the package as it is in a commit into a folder."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", revision, "dcfst_core"]
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise GateError(f"expected a commit, branch or tag as --base; got {revision!r} ({reason})")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", default="main", help="commit, branch or tag (main)")
    parser.add_argument("--limit", type=float, default=1.1, help="ratio that fails (1.1)")
    parser.add_argument("--rounds", type=int, default=12, help="at most so many (12)")
    parser.add_argument("--passes", type=int, default=3, help="passes over the clip (3)")
    parser.add_argument("--frames", type=int, default=31, help="frames of the clip (31)")
    options = parser.parse_args()
    if options.rounds < FEWEST_ROUNDS or options.passes < 1 or options.frames < 2:
        parser.error(f"expected at least {FEWEST_ROUNDS} rounds, 1 pass and 2 frames")
    how = (options.passes, options.frames)
    try:
        with tempfile.TemporaryDirectory(prefix="dcfst_base_") as folder:
            extract(options.base, Path(folder))
            summary = compare(
                lambda: measured_in(Path(folder), *how),
                lambda: measured_in(ROOT, *how),
                options.limit,
                options.rounds,
            )
    except GateError as error:
        print(f"bench_gate: {error}", file=sys.stderr)
        return 2
    return conclude(summary, options.limit)


if __name__ == "__main__":
    sys.exit(main())
