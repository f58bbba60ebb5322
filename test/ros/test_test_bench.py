"""The bench of these tests leaves nothing behind: no thread of DDS, no process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from ros_bench import Bench  # noqa: E402


def threads() -> int:
    """Threads of this process."""
    return len(os.listdir("/proc/self/task"))


@pytest.mark.parametrize("from_shell", [False, True])
def test_closing_leaves_nothing(tmp_path: Path, weights: Path, from_shell: bool) -> None:
    Bench(1, tmp_path, weights).close()  # what stays for good is there after the first one
    before = threads()
    bench = Bench(1, tmp_path, weights)
    camera = bench.start("synthetic_camera_node", from_shell=from_shell)
    bench.listen()
    bench.until(lambda: "synthetic_camera" in bench.node.get_node_names(), "the camera")
    assert threads() > before
    bench.close()
    assert threads() == before
    assert camera.process.returncode == -9 and not os.path.exists(f"/proc/{camera.process.pid}")
