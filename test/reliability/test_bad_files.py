"""Weights and targets that were replaced, cut short or locked: an error that says so, no more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_process import CommandProcess

Start = Callable[..., CommandProcess]


@pytest.fixture
def saved(track: Start, tmp_path: Path) -> Path:
    """A target that the command itself saved."""
    path = tmp_path / "cup.target"
    assert track("--save", path, "--max-frames", 3, "--quiet").wait() == 0
    return path


def find(command: Start, clip: Path, untrained: str, small: list[str], target: Path) -> Start:
    arguments = ["--find", target, "--weights", untrained, "--device", "cpu", *small]

    def start(**faults: object) -> CommandProcess:
        return command("track", clip, *arguments, "--max-frames", 3, **faults)

    return start


@pytest.mark.fault("target file cut short")
@pytest.mark.fault("target file replaced by something else")
@pytest.mark.fault("target file unreadable")
def test_a_bad_target_is_named(
    command: Start, clip: Path, untrained: str, small: list[str], saved: Path
) -> None:
    search = find(command, clip, untrained, small, saved)
    assert search().wait() == 0
    whole = saved.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:4], b"", clip.read_bytes()):
        saved.write_bytes(content)
        process = search()
        assert process.wait() == 1
        assert f"expected a saved target in {saved}" in process.output
    saved.write_bytes(whole)
    saved.chmod(0o000)
    process = search(unprivileged=True)
    assert process.wait() == 1
    assert str(saved) in process.output


@pytest.mark.fault("weights file cut short")
@pytest.mark.fault("weights file replaced by those of another network")
@pytest.mark.fault("weights file unreadable")
def test_bad_weights_are_named(
    command: Start, clip: Path, box: str, untrained: str, small: list[str], tmp_path: Path
) -> None:
    weights = tmp_path / "w.safetensors"
    shutil.copy(Path(untrained).with_suffix(".json"), tmp_path / "w.json")

    def run(**faults: object) -> CommandProcess:
        arguments = ["track", clip, "--init", box, "--weights", weights, "--device", "cpu"]
        process = command(*arguments, *small, "--max-frames", 2, **faults)
        assert process.wait() == 1
        assert str(weights) in process.output
        return process

    whole = Path(untrained).read_bytes()
    for content in (whole[: len(whole) // 3], b"", b"\xff" * 64):
        weights.write_bytes(content)
        assert "cut short or damaged" in run().output
    header = int.from_bytes(whole[:8], "little")
    names = whole[8 : 8 + header].replace(b"iou", b"uoi")
    weights.write_bytes(whole[:8] + names + whole[8 + header :])
    assert "weights of another network" in run().output
    weights.write_bytes(whole)
    weights.chmod(0o000)
    run(unprivileged=True)
