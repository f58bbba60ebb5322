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
