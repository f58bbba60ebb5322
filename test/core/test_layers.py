"""Imports go one way: dcfst_ros -> dcfst_core <- dcfst_training; the core knows no ROS."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "dcfst_core": {"dcfst_ros", "dcfst_training", "rclpy", "sensor_msgs", "vision_msgs"},
    "training/dcfst_training": {"dcfst_ros", "rclpy"},
    "dcfst_ros": {"dcfst_training"},
}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_import_against_the_layers(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        assert not imports(path) & FORBIDDEN[package], path


def test_importing_the_core_loads_only_what_a_robot_installs() -> None:
    heavy = "lightning, matplotlib, rclpy, pandas, tensorboard, dcfst_training"
    code = (
        "import sys, dcfst_core; "
        f"print([name for name in '{heavy}'.split(', ') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


# Imported slowly, or missing on a machine that only trains or measures.
SLOW_OR_RARE = ("av", "rosbags", "matplotlib", "torchvision", "torch._dynamo")


def test_tracking_and_measuring_need_no_video_library_and_no_compiler() -> None:
    """From the command line's modules to a tracked frame, as `dcfst bench` goes."""
    code = f"""
import sys
sys.modules["av"] = None  # as on a machine without it
import dcfst_core
from dcfst_core.cli.main import build_parser
from dcfst_core.evaluation.synthetic import SyntheticClip
build_parser()
clip = SyntheticClip(frames=2, size=(160, 120), target=(30, 30))
first, second = clip
config = dcfst_core.TrackerConfig(patch_size=96, grid_size=9)
tracker = dcfst_core.load_tracker(config=config, device="cpu")
tracker.init(first, clip.boxes_xywh()[0])
tracker.update(second)
print([name for name in {SLOW_OR_RARE} if sys.modules.get(name) is not None])
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
