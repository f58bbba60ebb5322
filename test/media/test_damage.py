"""Files with damage: what is lost is named, what is left keeps its number and time."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from dcfst_core.media.video import VideoError, open_frames

Make = Callable[..., Path]
FRAMES = 24
X264 = "-c:v libx264 -pix_fmt yuv420p"


def packets(path: Path) -> list[tuple[int, int]]:
    """Place and size of each picture's data in the file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [(p.pos, p.size) for p in container.demux(stream) if p.size]


def overwrite(path: Path, place: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[place : place + len(data)] = data
    path.write_bytes(content)


@pytest.mark.fault("a video with damaged frames")
@pytest.mark.parametrize(
    ("name", "options", "end"),
    [
        ("a.avi", "-c:v mjpeg -q:v 2", 10),
        ("b.mov", "-c:v mjpeg -q:v 2", 10),
        ("c.mp4", "-c:v mpeg4 -q:v 3", 10),
        ("d.mkv", "-c:v ffv1 -g 1 -slicecrc 1", 10),
        ("e.mp4", f"{X264} -g 1 -bf 0", 10),
        ("f.mp4", f"{X264} -g 6 -bf 0", 10),
        ("g.mp4", f"{X264} -g 9 -bf 0", 18),  # a key frame takes its group along
        ("h.webm", "-c:v libvpx -auto-alt-ref 0", 10),
        ("i.mp4", "-c:v libx265 -x265-params log-level=none:bframes=0 -pix_fmt yuv420p", FRAMES),
    ],
)
def test_a_damaged_frame_is_named_and_the_others_keep_their_numbers(
    name: str, options: str, end: int, make: Make
) -> None:
    path = make(name, options)
    place, size = packets(path)[9]
    head = 0 if path.suffix != ".mkv" else 4  # leave Matroska's own bytes
    overwrite(path, place + head + 4, random.Random(1).randbytes(size - head - 4))
    with open_frames(path) as source:
        frames = list(source.timed())
    lost = source.lost
    assert lost[0] == 9 and lost[-1] < end
    assert [f.number for f in frames] == [n for n in range(FRAMES) if n not in lost]
    assert [f.time_s for f in frames] == pytest.approx([f.number / 25 for f in frames], abs=0.002)
    assert source.missing is not None
    assert f"{len(frames)} frames of {path} were read" in source.missing
    assert f"frame{'s' if len(lost) > 1 else ''} {lost[0]}" in source.missing
    assert any("left out: damaged" in note for note in source.notes)


def test_half_a_picture_is_no_picture(make: Make, pictures: list[np.ndarray]) -> None:
    path = make("a.avi", "-c:v mjpeg -q:v 2")
    place, size = packets(path)[9]
    overwrite(path, place + size // 2, random.Random(2).randbytes(size // 4))
    with open_frames(path) as source:
        frames = list(source.timed())
    assert source.lost == [9] and len(frames) == FRAMES - 1
    worst = max(np.abs(f.rgb.astype(int) - pictures[f.number]).mean() for f in frames)
    assert worst < 6


@pytest.mark.parametrize("place", [0, FRAMES - 1])
def test_the_first_and_the_last_frame_can_be_the_damaged_one(place: int, make: Make) -> None:
    path = make("a.avi", "-c:v mjpeg -q:v 2")
    start, size = packets(path)[place]
    overwrite(path, start + 8, bytes(size - 8))
    with open_frames(path) as source:
        frames = list(source.timed())
    assert source.lost == [place]
    assert [f.number for f in frames] == [n for n in range(FRAMES) if n != place]


@pytest.mark.fault("a truncated video")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mkv", X264),
        ("b.webm", "-c:v libvpx"),
        ("c.avi", "-c:v mjpeg"),
        ("d.avi", "-c:v mpeg4 -bf 2"),
        ("e.mp4", f"{X264} -movflags faststart"),
        ("f.flv", f"{X264} -f flv"),
        ("g.mov", "-c:v mjpeg -movflags faststart"),
    ],
)
def test_a_truncated_file_gives_what_it_has_and_says_so(
    name: str, options: str, make: Make
) -> None:
    path = make(name, options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 7 // 10])
    with open_frames(path) as source:
        frames = list(source.timed())
    assert 2 < len(frames) < FRAMES
    numbers = [f.number for f in frames]
    assert numbers == [n for n in range(numbers[-1] + 1) if n not in source.lost]
    assert [f.time_s for f in frames] == pytest.approx([n / 25 for n in numbers], abs=0.002)
    assert source.missing is not None and "truncated or damaged" in source.missing
    assert f"promises {FRAMES}" in source.missing or name == "f.flv"


def test_a_stream_without_its_beginning_starts_at_its_first_key_frame(make: Make) -> None:
    path = make("whole.ts", f"{X264} -g 8 -bf 0")
    place, _ = packets(path)[2]
    path.write_bytes(path.read_bytes()[place // 188 * 188 :])
    with open_frames(path) as source:
        frames = list(source.timed())
    assert [f.number for f in frames] == list(range(16)) and frames[0].time_s == 0
    assert source.missing is None
    assert "before its first key frame cannot be shown" in source.notes[-1]


def test_nothing_readable_is_an_error(make: Make) -> None:
    path = make("a.avi", "-c:v mjpeg -q:v 2")
    for place, size in packets(path):
        overwrite(path, place, bytes(size))
    with open_frames(path) as source, pytest.raises(VideoError, match="none can be read"):
        list(source)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4", "a.avi"])
def test_a_start_behind_the_end_is_refused(name: str, make: Make) -> None:
    options = X264 if name != "a.avi" else "-c:v mjpeg"
    with open_frames(make(name, options)) as source:
        with pytest.raises(VideoError, match=f"start frame below {FRAMES}, the length of"):
            source.skip(60)
            list(source)
    with open_frames(make(name, options)) as source:
        source.skip(FRAMES - 2)
        assert [f.number for f in source.timed()] == [FRAMES - 2, FRAMES - 1]
    with open_frames(make(name, options)) as source, pytest.raises(VideoError, match="0 or more"):
        source.skip(-1)
