"""`dcfst bench ros`: what ROS costs. Images from a camera process to the tracker's, at full rate.

Counted are images published after both sides are matched, and those the node received; which of
them it tracked is its choice (the newest wins). The node's overhead is what it adds to the bare
tracker: receive (from the camera's call of `publish` to the node's callback: serialising,
transport, deserialising), convert to RGB, and publish the tracks.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from tqdm import tqdm

from dcfst_core.errors import DCFSTError
from dcfst_core.evaluation.tables import format_table
from dcfst_core.inference.machine import describe_machine
from dcfst_ros.health import OVERHEAD, RECEIVE, TRACKER
from dcfst_ros.processes import private_environment, start, stop

START_TIMEOUT_S = 180.0
PERIOD_FRAMES = 30
COLUMNS = (
    "images",
    "received",
    "tracked",
    "receive ms",
    "convert + publish ms",
    "overhead ms",
    "tracker ms",
)


class BenchError(DCFSTError, RuntimeError):
    """The measurement cannot go on, with the reason."""


@dataclass(frozen=True)
class RosCost:
    """One measurement; pairs are median and 95th percentile in milliseconds.

    The percentile of the overhead is the sum of its parts' percentiles: an upper bound.
    """

    size: str
    reliability: str
    rate_hz: float
    published: int
    received: int
    tracked: int
    receive_ms: tuple[float, float]
    convert_publish_ms: tuple[float, float]
    tracker_ms: tuple[float, float]

    @property
    def received_percent(self) -> float:
        """Share of the published images that reached the node."""
        return 100.0 * self.received / self.published

    @property
    def overhead_ms(self) -> tuple[float, float]:
        """What ROS adds to the tracker for one image."""
        (a, b), (c, d) = self.receive_ms, self.convert_publish_ms
        return a + c, b + d

    def row(self) -> tuple[str, ...]:
        """The table's row."""
        pairs = (self.receive_ms, self.convert_publish_ms, self.overhead_ms, self.tracker_ms)
        return (
            f"{self.size} {self.reliability.replace('_', ' ')}",
            f"{self.received_percent:.1f} % of {self.published}",
            str(self.tracked),
            *(f"{median:.1f} (p95 {p95:.1f})" for median, p95 in pairs),
        )


def run(options: argparse.Namespace) -> int:
    """Measure every size with every reliability; print the table, write JSON."""
    costs = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave no process behind
    for size, reliability in itertools.product(options.sizes, options.reliability):
        costs.append(measure(size, reliability, options))
    print(format_table(COLUMNS, [cost.row() for cost in costs]))
    print(f"at {options.rate:g} Hz, camera and node in processes of their own; median (p95)")
    print("\n".join(f"{name}: {value}" for name, value in describe_machine().items()))
    if options.json is not None:
        entries = [
            {**asdict(c), "received_percent": c.received_percent, "overhead_ms": c.overhead_ms}
            for c in costs
        ]
        document = {"machine": describe_machine(), "measurements": entries}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=2) + "\n")
        print(f"wrote {options.json}", file=sys.stderr)
    return 0


def measure(size: str, reliability: str, options: argparse.Namespace) -> RosCost:
    """One camera, one tracker, one size; BenchError with the log when a process fails."""
    width, height = (int(v) for v in size.split("x"))
    frames = int(options.seconds * options.rate)
    tracker = {"device": options.device, "diagnostics_period_s": 0.5, **options.parameters}
    camera = {"width": width, "height": height, "rate_hz": options.rate}
    camera |= {"period_frames": PERIOD_FRAMES, "frame_count": frames, "wait_subscribers": 1}
    camera |= {"best_effort": reliability == "best_effort"}
    env = private_environment(use_profile=not options.no_profile)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = env["ROS_AUTOMATIC_DISCOVERY_RANGE"]
    with (
        tempfile.TemporaryFile("w+") as tracker_log,
        tempfile.TemporaryFile("w+") as camera_log,
        Watch(int(env["ROS_DOMAIN_ID"])) as watch,
    ):
        process = start("tracker_node", tracker, env, tracker_log)
        processes = {"tracker_node": (process, tracker_log)}
        try:
            watch.until(lambda: watch.values, processes, "the tracker's diagnostics")
            process = start("synthetic_camera_node", camera, env, camera_log)
            processes["synthetic_camera_node"] = (process, camera_log)
            title = f"{size} {reliability}"
            with tqdm(total=frames, desc=title, unit="image", disable=options.quiet) as bar:
                watch.follow(bar)
                watch.until(lambda: process.poll() is not None, processes, "the camera's end")
                watch.settle()
            published = _published(process, camera_log)
        finally:
            for running, _ in processes.values():
                stop(running)
    return watch.cost(size, reliability, options.rate, published)


class Watch:
    """Reads the tracker's diagnostics."""

    def __init__(self, domain: int) -> None:
        self.values: dict[str, str] = {}
        self._seen = 0
        self._bar: Any = None
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node("dcfst_bench", context=self._context)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_message, 10)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def follow(self, bar: Any) -> None:
        """Show the images received on a progress bar."""
        self._bar = bar

    def until(
        self,
        condition: Callable[[], Any],
        processes: dict[str, tuple[subprocess.Popen[bytes], Any]],
        what: str,
    ) -> None:
        """Spin until a condition holds; BenchError when a process dies or nothing more comes."""
        seen, limit_s = self._seen, time.monotonic() + START_TIMEOUT_S
        while not condition():
            if self._seen != seen:
                seen, limit_s = self._seen, time.monotonic() + START_TIMEOUT_S
            dead = [name for name, (p, _) in processes.items() if p.poll() not in (None, 0)]
            if dead or time.monotonic() > limit_s:
                logs = "\n".join(f"{name}:\n{_tail(log)}" for name, (_, log) in processes.items())
                raise BenchError(f"expected {what}; the processes' logs:\n{logs}")
            self._executor.spin_once(timeout_sec=0.1)

    def settle(self) -> None:
        """Spin until messages tell of everything that happened before now."""
        last = self._seen + 3
        end_s = time.monotonic() + 10.0
        while self._seen < last and time.monotonic() < end_s:
            self._executor.spin_once(timeout_sec=0.1)

    def cost(self, size: str, reliability: str, rate_hz: float, published: int) -> RosCost:
        """The measurement from the last message."""
        if f"{OVERHEAD} p50 (ms)" not in self.values:
            raise BenchError(f"the tracker tracked nothing: {self.values.get('last error', '')}")

        def pair(name: str) -> tuple[float, float]:
            return tuple(float(self.values[f"{name} {p} (ms)"]) for p in ("p50", "p95"))

        return RosCost(
            size,
            reliability,
            rate_hz,
            published,
            received=int(self.values["images received"]),
            tracked=int(self.values["frames processed"]),
            receive_ms=pair(RECEIVE),
            convert_publish_ms=pair(OVERHEAD),
            tracker_ms=pair(TRACKER),
        )

    def _on_message(self, message: DiagnosticArray) -> None:
        self.values = {item.key: item.value for item in message.status[0].values}
        self._seen += 1
        if self._bar is not None:
            self._bar.update(int(self.values["images received"]) - self._bar.n)


def _published(process: subprocess.Popen[bytes], log: Any) -> int:
    """How many images the camera says it published."""
    text = _tail(log)
    found = re.search(r"published (\d+) images", text)
    if process.returncode or found is None or not int(found[1]):
        raise BenchError(f"the camera ended with {process.returncode}:\n{text}")
    return int(found[1])


def _tail(log: Any) -> str:
    log.seek(0)
    return "\n".join(log.read().splitlines()[-8:])
