"""Videos written: any rate, any size, the frames' own times, and never half a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dcfst_core.media.sinks import FORMATS, write_image
from dcfst_core.media.video import VideoError, VideoWriter, open_frames, read_image

RATES = (0.5, 24000 / 1001, 30.0, 66.6667, 70.123, 165.003, 211.222, 1000.0)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("rate", RATES)
def test_any_rate_is_written(
    suffix: str, rate: float, tmp_path: Path, pictures: list[np.ndarray]
) -> None:
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, rate) as writer:
        for index, frame in enumerate(pictures[:12]):
            writer.write(frame, 5 + index / rate)
    with open_frames(path) as source:
        frames = list(source.timed())
    assert source.fps == pytest.approx(rate, rel=1e-3)
    # Matroska counts milliseconds, MPEG-4 sixty thousandths of a second.
    assert [f.time_s for f in frames] == pytest.approx([i / rate for i in range(12)], abs=6e-4)
    assert writer.notes == [] and source.missing is None


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("size", [(159, 119), (160, 119), (159, 120), (17, 33), (64, 64)])
def test_no_pixel_of_an_odd_size_is_cut(
    suffix: str,
    size: tuple[int, int],
    tmp_path: Path,
    pictures: list[np.ndarray],
    ffmpeg: Callable[..., bytes],
) -> None:
    width, height = size
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, 25) as writer:
        for frame in pictures[:6]:
            writer.write(frame[:height, :width])
    with open_frames(path) as source:
        frames = list(source)
    assert [f.shape for f in frames] == [(height, width, 3)] * 6
    assert np.abs(frames[5].astype(int) - pictures[5][:height, :width]).mean() < 9
    raw = ffmpeg("-i", path, "-frames:v", 1, "-f", "rawvideo", "-pix_fmt", "gray", "-")
    assert len(raw) == width * height  # and so sees it a stranger's player


def test_times_are_kept_where_the_container_can(
    tmp_path: Path, pictures: list[np.ndarray]
) -> None:
    times = [100.0, 100.04, 100.08, 101.58, 101.6, 101.71]
    for suffix in FORMATS:
        path = tmp_path / f"out{suffix}"
        with VideoWriter(path, 25) as writer:
            for frame, time_s in zip(pictures, times, strict=False):
                writer.write(frame, time_s)
        read = [f.time_s for f in open_frames(path).timed()]
        if suffix == ".avi":
            assert read == pytest.approx([i / 25 for i in range(6)])
            assert writer.notes == [f"{path}: AVI has one rate: written at 25 frames a second"]
        else:
            assert read == pytest.approx([t - 100 for t in times], abs=6e-4)
            assert writer.notes == []


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 0.08, 0.04, 0.12], [0, 0.08, 0.08, 0.12]),  # two frames changed places
        ([1000, 1000.04, 0, 0.04], [0, 0.04, 0.08, 0.12]),  # the clock was set
        ([0, 0, 0, 0], [0, 0, 0, 0]),
        ([5.0, 5.04, 5.04, 5.08], [0, 0.04, 0.04, 0.08]),
        ([-3.0, -2.96, -2.92, -2.88], [0, 0.04, 0.08, 0.12]),
        ([None, None, None, None], [0, 0.04, 0.08, 0.12]),
    ],
)
def test_clocks_that_do_not_rise_lose_no_frame(
    times: list[float], expected: list[float], tmp_path: Path, pictures: list[np.ndarray]
) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 25) as writer:
        for frame, time_s in zip(pictures, times, strict=False):
            writer.write(frame, time_s)
    assert [f.time_s for f in open_frames(path).timed()] == pytest.approx(expected, abs=2e-3)


def test_a_frame_of_another_size_is_scaled_and_said(
    tmp_path: Path, pictures: list[np.ndarray]
) -> None:
    with VideoWriter(tmp_path / "out.mp4") as writer:
        writer.write(pictures[0])
        writer.write(pictures[1][:60, :80])
    assert re.search("another size than 160x120 are scaled", writer.notes[0])
    assert [f.shape for f in open_frames(tmp_path / "out.mp4")] == [(120, 160, 3)] * 2


def test_the_file_takes_its_place_at_the_end(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"an earlier result")
    with VideoWriter(path) as writer:
        writer.write(pictures[0])
        assert path.read_bytes() == b"an earlier result"
    assert len(list(open_frames(path))) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    VideoWriter(tmp_path / "none.mp4").close()  # without a frame there is no file
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    with pytest.raises(VideoError, match="positive number of frames a second; got 0"):
        VideoWriter(path, 0)


def test_an_image_is_written_whole_or_not(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    write_image(tmp_path / "new" / "sheet.png", pictures[0])
    np.testing.assert_array_equal(read_image(tmp_path / "new" / "sheet.png"), pictures[0])
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["sheet.png"]


@pytest.mark.fault("kill -9 while a video is written")
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.avi", "a.webm"])
def test_what_a_killed_program_wrote_can_be_played(name: str, tmp_path: Path) -> None:
    """A copy of what is on the disk while the writer is at work: no more is there after a kill."""
    writer = VideoWriter(tmp_path / name, 30.0)
    for index in range(60):
        writer.write(np.full((48, 64, 3), 4 * index, np.uint8))
    left = tmp_path / f"left{Path(name).suffix}"
    left.write_bytes((tmp_path / f".{name}.part").read_bytes())
    with open_frames(left) as source:
        frames = list(source)
    assert len(frames) >= 30
    assert [int(frame.mean()) // 4 for frame in frames[:5]] == pytest.approx(range(5), abs=1)
    writer.close()
    with open_frames(tmp_path / name) as source:
        assert len(list(source)) == 60
