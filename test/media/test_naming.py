"""The order in time of images by their names, or why it is not known."""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from dcfst_core.errors import FrameError
from dcfst_core.media.folders import list_images
from dcfst_core.media.name_times import plain_times
from dcfst_core.media.naming import natural_key
from dcfst_core.media.video import VideoError, open_frames

IN_ORDER = {
    "unpadded": ["1", "2", "9", "10", "11", "100"],
    "padded": ["0001", "0002", "0010"],
    "counted with a name": ["frame8", "frame9", "frame10"],
    "Python's time.time()": [str(round(1700000000 + i * 0.05, 2)) for i in range(12)],
    "six decimals": [f"{1700000000 + i * 0.05:.6f}" for i in range(12)],
    "quarters of a second": ["0.25", "0.5", "0.75", "1.0", "1.25"],
    "scientific": ["1e-05", "2e-05", "0.0001", "0.00015"],
    "scientific stamps": ["1.7e+09", "1.70000000005e+09", "1.7000000001e+09"],
    "count behind a point": ["1.8", "1.9", "1.10", "1.11"],
    "nanoseconds behind a point": [
        *("1700000000.40000000", "1700000000.80000000", "1700000000.120000000"),
    ],
    "seconds and nanoseconds": ["1700000000_40000000", "1700000000_120000000", "1700000001_0"],
    "ISO, whole seconds without fraction": [
        *("2024-01-31T12:00:00", "2024-01-31T12:00:00.040000", "2024-01-31T12:00:00.080000"),
    ],
    "ISO with zones": [
        *("2024-01-31T23:59:59+01:00", "2024-01-31T23:00:00+00:00", "2024-02-01T00:00:01Z"),
    ],
    "compact ISO": ["20240131_235959", "20240201_000000", "20240201_000001"],
    "a clock with points": ["12.00.00.5", "12.00.00.75", "12.00.01"],
    "macOS screenshots": [
        "Screenshot 2024-01-31 at 9.05.09\u202fAM",
        "Screenshot 2024-01-31 at 11.05.09\u202fAM",
        "Screenshot 2024-01-31 at 12.05.09\u202fPM",
        "Screenshot 2024-01-31 at 1.05.09\u202fPM",
    ],
    "midnight": ["12.59.59 AM", "1.00.00 AM", "12.00.00 PM"],
    "day first": ["30-01-2024_10", "31-01-2024_09", "01-02-2024_08"],
    "month names": ["31-Jan-2024", "01-Feb-2024", "02-Feb-2024"],
    "Arabic digits": ["frame٠", "frame١", "frame٩", "frame١٠"],
    "superscripts": ["img²", "img³", "img¹⁰"],
    "full-width digits": ["１", "２", "１０"],
    "negative": ["-2", "-1", "0", "1", "10"],
    "negative seconds": ["-1.5", "-1", "-0.5", "0.0", "0.5"],
    "copies": ["IMG", "IMG (1)", "IMG (2)", "IMG (10)"],
    "parts of a scene": ["a_1", "b_2", "c_3"],
    "two numbers": ["000000_10", "000000_11", "000001_10"],
    "a number that differs behind the counter": ["f_000_d-0.04s", "f_001_d-0.1s"],
    "nanoseconds": ["1700000000999999999", "1700000001000000000"],
}
NOT_KNOWN = {
    "two cameras by name": (["left_1", "right_1", "left_2", "right_2"], "names are of 2 kinds"),
    "two cameras by number": (["cam0_1", "cam0_2", "cam1_1", "cam1_2"], "are of 2 cameras"),
    "no numbers": (["a", "b", "c"], "no numbers in the names"),
    "hashes": (["d41d8cd98f00b204", "0cc175b9c0f1b6a8", "92eb5ffee6ae2fec"], "names are of"),
    "a counter that began again": (["IMG_9998", "IMG_9999", "IMG_0001"], "began again after 9999"),
    "one number twice": (["frame1", "frame01"], "their numbers are equal"),
    "one plain number twice": (["1", "01"], "their numbers are equal"),
    "day or month": (["03-04-2024", "04-03-2024"], "can mean two dates"),
    "fraction or count": (["1.05", "1.5", "1.10"], "can be a fraction or a count"),
}


def fill(folder: Path, names: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    data = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    shuffled = list(names)
    random.Random(0).shuffle(shuffled)
    for name in shuffled:
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("kind", IN_ORDER)
def test_names_are_ordered_in_time(kind: str, tmp_path: Path) -> None:
    names = [f"{stem}.png" for stem in IN_ORDER[kind]]
    assert [p.name for p in list_images(fill(tmp_path / "f", names)).paths] == names


@pytest.mark.parametrize("kind", NOT_KNOWN)
def test_an_order_that_is_not_known_is_an_error_with_the_reason(kind: str, tmp_path: Path) -> None:
    stems, reason = NOT_KNOWN[kind]
    folder = fill(tmp_path / "f", [f"{stem}.png" for stem in stems])
    with pytest.raises(VideoError, match=f"(?s){folder}: the order of .* is not known.*") as error:
        list_images(folder)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("names", "kept", "left_out"),
    [
        (["1.jpg", "2.JPG", "10.jpeg"], ["1.jpg", "2.JPG", "10.jpeg"], ""),
        (["1.jpg", "2.jpg", "._1.jpg", "._2.jpg"], ["1.jpg", "2.jpg"], "hidden (2)"),
        (["1.jpg", "2.jpg", ".DS_Store", "Thumbs.db"], ["1.jpg", "2.jpg"], ".db (1), hidden (1)"),
        (["1.jpg", "1.png", "2.jpg"], ["1.jpg", "2.jpg"], ".png (1)"),
        (["1.jpg", "1.cr2", "2.jpg", "2.cr2"], ["1.jpg", "2.jpg"], ".cr2 (2)"),
        (["1.jpg", "2.jpg", "thumbnail.jpg"], ["1.jpg", "2.jpg"], "thumbnail.jpg (1)"),
        (["1.jpg", "2.jpg", "list.txt", "README"], ["1.jpg", "2.jpg"],
         ".txt (1), without suffix (1)"),
    ],
)  # fmt: skip
def test_what_is_left_out_is_said(
    names: list[str], kept: list[str], left_out: str, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "f", names)
    found = list_images(folder)
    assert [p.name for p in found.paths] == kept and found.left_out == left_out
    with open_frames(folder) as source:
        assert source.notes == ([f"left out of {folder}: {left_out}"] if left_out else [])


def test_each_image_twice_is_an_error(tmp_path: Path) -> None:
    folder = fill(tmp_path / "f", ["1.jpg", "2.jpg", "1.png", "2.png"])
    with pytest.raises(VideoError, match=r"holds each image twice, as 1.jpg and 1.png"):
        list_images(folder)


@pytest.mark.parametrize("digits", [0, 3, 6, 9])
def test_times_are_read_from_stamps(digits: int, tmp_path: Path) -> None:
    stamps = [1700000000.25 + 0.04 * i for i in range(5)]
    names = [f"{round(s * 10**digits) if digits else f'{s:.2f}'}.png" for s in stamps]
    with open_frames(fill(tmp_path / "f", names)) as source:
        frames = list(source.timed())
    expected = [0.04 * i for i in range(5)]
    assert [f.time_s for f in frames] == pytest.approx(expected, abs=1e-6)
    assert source.fps == pytest.approx(25, rel=1e-4)
    with open_frames(fill(tmp_path / "g", ["1.png", "2.png"])) as source:
        assert [f.time_s for f in source.timed()] == [None, None] and source.fps is None


def test_a_link_that_leads_nowhere_is_a_lost_frame(tmp_path: Path) -> None:
    folder = fill(tmp_path / "f", ["1.png", "3.png"])
    (folder / "2.png").symlink_to("gone.png")
    with open_frames(folder) as source:
        assert [f.number for f in source.timed()] == [0, 2]
    assert source.lost == [1] and "2.png; there is none" in source.notes[0]
    assert issubclass(FrameError, ValueError)


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(VideoError, match=r"found none: it holds .txt \(1\), and the folders img"):
        open_frames(tmp_path)


def test_natural_keys_compare_whatever_the_digits() -> None:
    assert sorted(["a10", "a9", "a²", "a١"], key=natural_key)[-1] == "a²"
    assert natural_key("frame2") < natural_key("frame10")


def test_no_exponent_in_a_name_is_written_out_to_gigabytes() -> None:
    """Found by fuzzing: such a name took a minute, or all memory."""
    names = ["15594E558189169", "0E1000000001000000000", "7e-404923704", "1.7e+009"]
    assert plain_times(names) == [*names[:3], "1700000000"]
