"""Fixtures of tests with real nodes: an own ROS domain for each bench, one small set of weights.

A conftest.py imports them by name: `from bench_fixtures import bench as bench`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ros_bench import Bench


def _own_domains() -> Iterator[int]:
    """ROS domains that no other worker of pytest-xdist uses, round and round.

    Above 101 the ports of a domain may collide with those the system hands out.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = range(1 + worker, 101, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    return (mine[count % len(mine)] for count in itertools.count(os.getpid()))


_domains = _own_domains()


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network: these tests are about the node, not about tracking well."""
    import torch

    from dcfst_core.network.checkpoint import save_model
    from dcfst_core.network.model import DCFSTNet

    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    torch.manual_seed(0)
    save_model(DCFSTNet().eval(), path, {"note": "untrained"})
    return path


@pytest.fixture(scope="session", autouse=True)
def clean_shared_memory() -> Iterator[None]:
    """Tests kill nodes; what these leave behind would trouble the tests of another session."""
    from dcfst_ros.processes import remove_stale_shared_memory

    remove_stale_shared_memory()
    yield
    remove_stale_shared_memory(older_than_s=0.0)


def _bench(folder: Path, weights: Path) -> Bench:
    pytest.importorskip("rclpy")
    pytest.importorskip("vision_msgs")
    from ros_bench import Bench

    return Bench(next(_domains), folder, weights)


@pytest.fixture
def own_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test starts without a bench has a domain of its own too."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(next(_domains)))


@pytest.fixture(scope="module")
def running_bench(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[Bench]:
    """A bench with one tracker that serves all tests of a module."""
    made = _bench(tmp_path_factory.mktemp("bench"), weights)
    try:
        made.start()
        made.listen()
        made.wait_for_image_subscriber()
        yield made
    finally:
        made.close()


@pytest.fixture
def shared(running_bench: Bench) -> Bench:
    """The running bench, without targets and without a past."""
    running_bench.fresh()
    return running_bench


@pytest.fixture
def bench(tmp_path: Path, weights: Path) -> Iterator[Bench]:
    """An empty bench in a domain of its own."""
    made = _bench(tmp_path, weights)
    yield made
    made.close()
