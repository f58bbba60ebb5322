"""Video files of every kind, made by FFmpeg from pictures whose pixels are known."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

Make = Callable[..., Path]
FRAMES, WIDTH, HEIGHT, RATE = 24, 160, 120, 25


def picture(index: int) -> np.ndarray:
    """A textured scene with a patterned square that moves by (3, 1) pixels a frame."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(60, 140, (HEIGHT // 8 + 1, WIDTH // 8 + 1, 3))
    frame = np.kron(coarse, np.ones((8, 8, 1)))[:HEIGHT, :WIDTH].astype(np.uint8)
    pattern = np.kron(rng.integers(0, 2, (3, 3, 3)) * 255, np.ones((8, 8, 1)))
    x, y = 30 + 3 * index, 40 + index
    frame[y : y + 24, x : x + 24] = pattern
    return frame


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    return [picture(index) for index in range(FRAMES)]


@pytest.fixture(scope="session")
def png_folder(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray]) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for index, frame in enumerate(pictures):
        cv2.imwrite(str(folder / f"{index:04d}.png"), frame[..., ::-1])
    return folder


@pytest.fixture(scope="session")
def ffmpeg() -> Callable[..., bytes]:
    """Run FFmpeg's own program; returns what it writes to standard output."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    program = imageio_ffmpeg.get_ffmpeg_exe()

    def run(*arguments: object) -> bytes:
        command = [program, "-y", "-hide_banner", "-v", "error", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return run


@pytest.fixture
def make(ffmpeg: Callable[..., bytes], png_folder: Path, tmp_path: Path) -> Make:
    """Encode the pictures: `make("clip.mp4", "-c:v libx264", rate=25)`."""

    def encode(name: str, options: str, rate: object = RATE) -> Path:
        path = tmp_path / name
        source = png_folder / "%04d.png"
        ffmpeg("-framerate", rate, "-i", source, *options.split(), path)
        return path

    return encode
