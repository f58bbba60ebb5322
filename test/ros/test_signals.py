"""Ctrl-C and SIGTERM at any time: no traceback, and the process is gone soon."""

from __future__ import annotations

import gc
import signal
import time
import weakref
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

import rclpy  # noqa: E402
from node_process import NodeProcess  # noqa: E402
from ros_bench import Bench, scene  # noqa: E402

from dcfst_ros.runner import make_executor  # noqa: E402

# The bar is 2 s; the rest is for a machine on which everything waits.
MOST_S = 4.0


def has_loaded(node: NodeProcess, library: str) -> bool:
    try:
        return library in Path(f"/proc/{node.process.pid}/maps").read_text()
    except OSError:
        return False


@pytest.mark.fault("SIGINT and SIGTERM while PyTorch is loaded")
@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_pytorch_is_loaded_ends_without_a_traceback(
    bench: Bench, with_signal: int
) -> None:
    node = bench.start(from_shell=True)
    end_s = time.monotonic() + 60.0
    while not has_loaded(node, "libtorch_cpu") and time.monotonic() < end_s:
        time.sleep(0.005)
    began_s = time.monotonic()
    node.process.send_signal(with_signal)
    assert node.process.wait(MOST_S) == 128 + with_signal
    assert time.monotonic() - began_s < MOST_S
    assert "Traceback" not in node.log and "KeyboardInterrupt" not in node.log


@pytest.mark.fault("SIGINT and SIGTERM while it tracks")
@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_a_node_that_tracks_is_gone_soon(bench: Bench, with_signal: int) -> None:
    node = bench.start(from_shell=True)
    bench.listen()
    bench.begin(scene(0))
    bench.publish_frame(scene(1))
    node.process.send_signal(with_signal)
    assert node.process.wait(MOST_S) == 0
    assert "Traceback" not in node.log


@pytest.mark.parametrize(
    ("state", "with_signal"),
    [
        ("unconfigured", signal.SIGTERM),
        ("active", signal.SIGINT),
    ],
)
def test_a_signal_ends_a_node_that_tracks_nothing_cleanly(
    bench: Bench, state: str, with_signal: int
) -> None:
    node = bench.start(parameters={"autostart": state != "unconfigured"}, from_shell=True)
    bench.listen()
    if state == "active":
        bench.until(lambda: "waiting for images" in node.log, "an active node")
    else:
        bench.until(
            lambda: "tracker" in bench.node.get_node_names(), "the node to appear in the graph"
        )
    assert node.stop(with_signal) == 0
    assert "Traceback" not in node.log


def test_an_executor_outlives_the_loop_that_used_it(bench: Bench) -> None:
    """On a signal a thread of rclpy wakes it, maybe after the loop: freed, it crashed."""
    node = rclpy.create_node("short", context=bench.context)
    kept = weakref.ref(make_executor(node))
    node.destroy_node()
    gc.collect()
    assert kept() is not None
