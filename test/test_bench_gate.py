"""The speed gate: what it says of a tree that is slower, as fast, or too noisy to tell."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "bench_gate.py"
LIMIT = 1.1


@pytest.fixture(scope="module")
def gate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_gate", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_gate"] = module
    spec.loader.exec_module(module)
    return module


def clock(ms: float, noise: float, seed: int) -> Callable[[], dict[str, float]]:
    """Measurements around a true time, on a machine that slows down and recovers by `noise`."""
    generator = random.Random(seed)
    return lambda: {"default": ms * (1 + noise * generator.random())}


@pytest.mark.parametrize(
    ("new_ms", "noise", "status"),
    [(50.0, 0.05, 0), (52.0, 0.05, 0), (30.0, 0.5, 0), (58.0, 0.05, 1), (90.0, 0.3, 1)],
)
def test_a_tree_ten_percent_slower_fails_and_others_do_not(
    gate: ModuleType, new_ms: float, noise: float, status: int
) -> None:
    summary = gate.compare(clock(50.0, noise, 1), clock(new_ms, noise, 2), LIMIT, 12)
    assert gate.conclude(summary, LIMIT) == status


def test_what_the_noise_hides_is_neither(
    gate: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = gate.compare(clock(50.0, 2.0, 1), clock(55.0, 2.0, 2), LIMIT, 5)
    assert gate.conclude(summary, LIMIT) == 2
    assert "too noisy to tell" in capsys.readouterr().out


def test_it_stops_as_soon_as_the_answer_is_clear(gate: ModuleType) -> None:
    rounds: list[int] = []

    def old() -> dict[str, float]:
        rounds.append(1)
        return {"default": 50.0 + 0.1 * len(rounds)}

    gate.compare(old, clock(100.0, 0.01, 1), LIMIT, 12)
    assert len(rounds) == gate.FEWEST_ROUNDS


def test_one_slow_preset_is_enough(gate: ModuleType) -> None:
    fine, slow = gate.Ratio(0.9, 0.88, 0.92), gate.Ratio(1.3, 1.2, 1.4)
    assert gate.conclude({"default": fine, "fast": slow}, LIMIT) == 1
    assert gate.conclude({"default": fine, "fast": fine}, LIMIT) == 0


def test_a_base_that_is_no_commit_is_explained() -> None:
    command = [sys.executable, str(SCRIPT), "--base", "no-such-commit"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "expected a commit, branch or tag as --base; got 'no-such-commit'" in done.stderr


@pytest.mark.slow
def test_both_trees_are_really_measured(gate: ModuleType, tmp_path: Path) -> None:
    gate.extract("HEAD", tmp_path)
    for tree in (tmp_path, SCRIPT.parents[1]):
        found = gate.measured_in(tree, passes=1, frames=3)
        assert set(found) == set(gate.PRESETS) and min(found.values()) > 0
