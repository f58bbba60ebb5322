"""Fixtures of the reliability tests: real nodes, and commands in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench_fixtures import bench as bench
from bench_fixtures import clean_shared_memory as clean_shared_memory
from bench_fixtures import running_bench as running_bench
from bench_fixtures import shared as shared
from bench_fixtures import weights as weights
from command_process import CommandProcess

from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.video import VideoWriter

CLIP = SyntheticClip(frames=60, size=(160, 120), target=(24, 30), period=60)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of two seconds."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    with VideoWriter(path, 30.0) as writer:
        for frame in CLIP:
            writer.write(frame)
    return path


@pytest.fixture(scope="session")
def box() -> str:
    """The target's box in the clip's first frame, as an option has it."""
    return ",".join(f"{value:.2f}" for value in CLIP.boxes_xywh()[0])


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., CommandProcess]]:
    """A function that starts `dcfst ...` (or `dcfst-train ...`) in a process of its own."""
    started: list[CommandProcess] = []

    def start(*arguments: object, **faults: object) -> CommandProcess:
        log = tmp_path / f"command_{len(started)}.log"
        started.append(CommandProcess([str(a) for a in arguments], log, **faults))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def track(
    command: Callable[..., CommandProcess], clip: Path, box: str, untrained: str, small: list[str]
) -> Callable[..., CommandProcess]:
    """A function that starts `dcfst track` on the clip, with the small test network."""

    def start(*arguments: object, **faults: object) -> CommandProcess:
        settings = ["--weights", untrained, "--device", "cpu", *small]
        return command("track", clip, "--init", box, *settings, *arguments, **faults)

    return start
