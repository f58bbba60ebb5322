"""`dcfst bench ros` as a user runs it, short; figures are looked at, not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("own_domain")]

from ros_bench import FAST  # noqa: E402


def bench_ros(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dcfst_core.cli", "bench", "ros", "--quiet", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


def test_a_short_measurement_counts_all_images_and_adds_up(weights: Path, tmp_path: Path) -> None:
    parameters = [f"--set={name}={json.dumps(value)}" for name, value in FAST.items()]
    out = tmp_path / "ros.json"
    done = bench_ros(
        *("--sizes", "160x120", "--rate", "10", "--seconds", "3", "--device", "cpu"),
        *("--reliability", "reliable", "--json", str(out), f"--set=weights={weights}"),
        *parameters,
    )
    assert done.returncode == 0, done.stderr
    assert "| 160x120 reliable" in done.stdout and "overhead ms" in done.stdout
    (cost,) = json.loads(out.read_text())["measurements"]
    assert cost["published"] == 30
    assert 0 < cost["tracked"] <= cost["received"] <= 30
    assert cost["received"] >= 25  # reliable, small and slow: only a machine at its end loses any
    parts = [cost["receive_ms"][0], cost["convert_publish_ms"][0]]
    assert min(parts) > 0 and cost["overhead_ms"][0] == pytest.approx(sum(parts))
    assert cost["tracker_ms"][0] > 0


def test_a_node_that_cannot_start_is_shown_with_its_log() -> None:
    done = bench_ros("--sizes", "160x120", "--set=weights=/nowhere/w.safetensors")
    assert done.returncode == 1
    assert "expected a weights file at /nowhere" in done.stderr
    assert "Traceback" not in done.stderr
