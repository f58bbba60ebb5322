"""Outputs that would harm an input are refused before anything is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dcfst_core.media.output_files import check_outputs
from dcfst_core.media.video import VideoError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An input file under four names, and an input folder under two."""
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").write_bytes(b"video")
    Path("link.mp4").symlink_to("clip.mp4")
    os.link("clip.mp4", "hard.mp4")
    Path("frames").mkdir()
    Path("frames/1.png").write_bytes(b"image")
    Path("other").symlink_to("frames")
    Path("below").mkdir()
    Path("below/out.mp4").symlink_to("../clip.mp4")
    Path("below/sheet.png").symlink_to("../frames/2.png")
    return tmp_path


@pytest.mark.parametrize(
    ("option", "output", "source", "expected"),
    [
        ("--out", "clip.mp4", "clip.mp4", "are one file"),
        ("--out", "./below/../clip.mp4", "clip.mp4", "are one file"),
        ("--out", "link.mp4", "clip.mp4", "are one file"),
        ("--out", "clip.mp4", "link.mp4", "are one file"),
        ("--out", "hard.mp4", "clip.mp4", "are one file"),
        ("--out", "below/out.mp4", "clip.mp4", "are one file"),
        ("--csv", "clip", "clip", "are one file"),
        ("--sheet", "frames/sheet.png", "frames", "lies in the input"),
        ("--sheet", "other/sheet.png", "frames", "lies in the input"),
        ("--sheet", "frames/sheet.png", "other", "lies in the input"),
        ("--sheet", "below/sheet.png", "frames", "lies in the input"),
        ("--csv", "frames/below/t.csv", "frames", "lies in the input"),
        ("BAG", "frames/bag", "frames", "lies in the input"),
        ("BAG", "frames", "frames", "are one file"),
    ],
)
def test_an_output_may_not_be_an_input(
    place: Path, option: str, output: str, source: str, expected: str
) -> None:
    if source == "clip":
        Path("clip").write_bytes(b"no suffix")
    before = {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}
    with pytest.raises(VideoError, match=expected):
        check_outputs({option: output}, [source])
    assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ({"--out": "o.gif"}, r"ending in .mp4, .* got o.gif"),
        ({"--out": "o"}, "ending in .mp4"),
        ({"--video": "o.png"}, "ending in .mp4"),
        ({"--sheet": "s.pdf"}, "an image name"),
        ({"--sheet": "s.mp4"}, "an image name"),
        ({"--csv": "t.mp4"}, "a name such as tracks.csv"),
        ({"--csv": "t.png"}, "a name such as tracks.csv"),
        ({"BAG": "new.mcap"}, "a rosbag2 is a folder"),
        ({"--csv": "below"}, "below is a folder"),
        ({"--csv": "clip.mp4/t.csv"}, "it is a file"),
        ({"--csv": "same.txt", "--sheet": "x.png", "--json": "same.txt"}, "expected two files"),
    ],
)
def test_what_cannot_be_written_is_refused(
    place: Path, outputs: dict[str, str], expected: str
) -> None:
    with pytest.raises(VideoError, match=expected):
        check_outputs(outputs, ["clip.mp4"])


def test_all_else_is_allowed(place: Path) -> None:
    outputs = {"--out": "new/o.mp4", "--csv": "-", "--sheet": "s.JPG", "BAG": "frames_tracked"}
    check_outputs(outputs, ["frames", "rtsp://camera/1", "0", None, "missing"])
