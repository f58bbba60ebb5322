"""A tracker node under work for as long as wanted, and what it holds of the machine meanwhile.

    python test/reliability/soak.py --frames 100000 --out soak_out

Two targets in the synthetic camera's scene, absences, new boxes, resets and pauses; each frame is
published when the one before was answered, so time is compressed as far as the machine can. What
was measured is in `soak.jsonl`; the same command goes on where it was stopped, with a new node.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "ros")]

import numpy as np  # noqa: E402
from process_stats import held_by  # noqa: E402
from ros_bench import Bench  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402
from tqdm import tqdm  # noqa: E402

from dcfst_core.evaluation.synthetic import SyntheticClip  # noqa: E402
from dcfst_core.network.checkpoint import default_weights_path  # noqa: E402

# One round has all that happens: absence, new boxes, reset, pause. EVERY divides it.
SIZE, PERIOD, ROUND = (320, 240), 120, 240
EVERY = 40
# The packaged network at its smallest: what is looked for is what grows, not accuracy. All parts
# work, at half the time a frame.
SETTINGS = {
    **{"tracker_preset": "fast", "tracker.patch_size": 96, "tracker.grid_size": 5},
    **{"tracker.grid_spacing": 6.0, "tracker.num_proposals": 2, "tracker.num_averaged": 1},
    **{"tracker.box_refinement_iter": 1, "cpu_threads": 1, "diagnostics_period_s": 1.0},
}
# What may change after the first round of a session, which fills buffers and caches.
MOST_GROWTH = {"rss_mb": 24.0, "threads": 0, "files": 0, "shm_mb": 0.0, "gpu_mb": 0.0}
Row = dict[str, Any]


def scene() -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Frames with two targets, frames with the first alone, and the boxes of the first."""
    one = SyntheticClip(frames=PERIOD, size=SIZE, target=(32, 40), period=PERIOD, seed=0)
    alone = list(one)
    patch = np.random.default_rng(5).integers(0, 256, (6, 6, 3)).repeat(6, 0).repeat(6, 1)
    both = []
    for index, frame in enumerate(alone):
        x, y = second_box(index)[:2]
        shown = frame.copy()
        shown[int(y) : int(y) + 36, int(x) : int(x) + 36] = patch
        both.append(shown)
    return both, alone, one.boxes_xywh()


def second_box(index: int) -> tuple[float, float, float, float]:
    """Where the second target is: on its way along the lower border."""
    phase = 2 * np.pi * index / PERIOD
    return (float(round(150 + 120 * np.sin(phase))), 196.0, 36.0, 36.0)


class Soak:
    """One session: a node, and the frames from `first` on."""

    def __init__(self, folder: Path, domain: int, weights: Path) -> None:
        self.both, self.alone, self.boxes = scene()
        self.bench = Bench(domain, folder, weights)
        self.node = self.bench.start(parameters=SETTINGS, fast=False, from_shell=True)
        self.bench.listen()
        self.bench.wait_for_image_subscriber()
        self.bench.wait_until_heard()
        self.tracked = 0

    def frame(self, index: int) -> None:
        """Publish one frame and wait for its answer; do what is due in it."""
        bench, at, place = self.bench, index % ROUND, index % PERIOD
        absent = 60 <= at < 100
        if at in (160, 200):
            self._disturb(at)
        frame = (self.alone if absent else self.both)[place]
        (answer,) = bench.follow([frame])
        self.tracked += len(answer.detections)
        if at in (0, 130, 161):
            header = answer.header
            bench.publish_box(tuple(float(v) for v in self.boxes[place]), header, "first")
            bench.publish_box(second_box(place), header, "second")

    def _disturb(self, at: int) -> None:
        if at == 160:
            self.bench.call(Trigger, "/tracker/reset", Trigger.Request())
            return
        for wanted in (False, True):
            self.bench.call(SetBool, "/tracker/enable", SetBool.Request(data=wanted))

    def sample(self) -> Row:
        """What the node holds now; what was heard before is forgotten."""
        bench = self.bench
        assert self.node.process.poll() is None, self.node.log
        values = bench.status_line()[2] if bench.diagnostics else {}
        for heard in (bench.states, bench.tracks, bench.arrays, bench.results, bench.heartbeats):
            heard.clear()
        del bench.diagnostics[:-1]
        row = asdict(held_by(self.node.process.pid)) | {"tracked": self.tracked}
        self.tracked = 0
        return row | {"gpu_mb": float(values.get("device memory (MB)", 0))}


def run(
    frames: int, out: Path, weights: Path | None = None, domain: int | None = None
) -> list[Row]:
    """Go on until `frames` frames were tracked in all sessions; returns all rows."""
    out.mkdir(parents=True, exist_ok=True)
    record = out / "soak.jsonl"
    rows = read_rows(record)
    first = rows[-1]["frame"] if rows else 0
    session = rows[-1]["session"] + 1 if rows else 0
    if first >= frames:
        return rows
    soak = Soak(out, domain or random.randint(1, 100), weights or default_weights_path())
    try:
        with record.open("a") as file:
            # A session begins with its boxes: the first frame of a round.
            bar = tqdm(range(frames - first), "frames", frames, initial=first)
            for index in bar:
                soak.frame(index)
                if (index + 1) % EVERY == 0 or index + 1 == frames - first:
                    row = {"frame": first + index + 1, "session": session, **soak.sample()}
                    rows.append(row)
                    file.write(json.dumps(row) + "\n")
                    file.flush()
        assert "Traceback" not in soak.node.log, soak.node.log
        assert soak.node.stop() == 0
    finally:
        soak.bench.close()
    return rows


def read_rows(record: Path) -> list[Row]:
    """The rows of earlier sessions; the last one may have been cut off by a kill."""
    rows = []
    for line in record.read_text().splitlines() if record.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def growth(rows: list[Row]) -> dict[str, float]:
    """The largest growth in any session: median of its last round above that of its second one.

    Whole rounds are compared: an absence or a new box holds more for a while.
    """
    found = dict.fromkeys(MOST_GROWTH, 0.0)
    each = ROUND // EVERY
    for session in sessions(rows):
        if len(session) < 3 * each:
            continue
        for name in found:
            early = statistics.median(row[name] for row in session[each : 2 * each])
            late = statistics.median(row[name] for row in session[-each:])
            found[name] = max(found[name], late - early)
    return found


def sessions(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows of each session."""
    for number in sorted({row["session"] for row in rows}):
        yield [row for row in rows if row["session"] == number]


def failures(rows: list[Row]) -> list[str]:
    """What grew more than it may, and whether targets were followed at all."""
    found = [
        f"{name} grew by {value:.1f}; expected at most {MOST_GROWTH[name]:g}"
        for name, value in growth(rows).items()
        if value > MOST_GROWTH[name]
    ]
    if sum(row["tracked"] for row in rows) < 0.5 * rows[-1]["frame"]:
        found.append("targets were hardly followed")
    return found


def plot(rows: list[Row], path: Path) -> None:
    """Memory, threads, files and shared memory over the frames."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = {
        "rss_mb": "resident, MB",
        "shm_mb": "shared, MB",
        "threads": "threads",
        "files": "files",
    }
    figure, axes = pyplot.subplots(len(names), 1, sharex=True, figsize=(8, 7))
    for axis, (name, label) in zip(axes, names.items(), strict=True):
        for session in sessions(rows):
            axis.plot([r["frame"] for r in session], [r[name] for r in session], linewidth=1)
        axis.set_ylabel(label)
        axis.set_ylim(0, 1.2 * max(row[name] for row in rows) + 1)
    axes[-1].set_xlabel("frames")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def main() -> int:
    """Run, say what came of it, draw it."""
    parser = argparse.ArgumentParser(description="Run a tracker node for many frames.")
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path("soak_out"))
    parser.add_argument("--plot", type=Path, help="draw what was measured")
    options = parser.parse_args()
    # As Ctrl-C: the node must not be left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows = run(options.frames, options.out)
    if options.plot is not None:
        plot(rows, options.plot)
    print(f"{rows[-1]['frame']} frames in {rows[-1]['session'] + 1} sessions; growth: ", end="")
    print(", ".join(f"{name} {value:.1f}" for name, value in growth(rows).items()))
    failed = failures(rows)
    print("\n".join(failed) or "nothing grew")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
