"""`dcfst track` on files as people have them: what is refused, what is said, what is kept."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from dcfst_core.cli.arguments import with_negative_boxes
from dcfst_core.cli.main import main
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.video import VideoWriter, open_frames

CLIP = SyntheticClip(frames=10, size=(160, 120), target=(24, 30), period=60)
BOX = ",".join(f"{v:.1f}" for v in CLIP.boxes_xywh()[0])
Run = Callable[..., tuple[int, str, list[dict[str, str]]]]


@pytest.fixture
def run(
    untrained: str, small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Run `dcfst track` quietly; returns its status, its words and the rows it printed."""
    threads = torch.get_num_threads()

    def track(source: Path | str, *arguments: str, box: str = BOX) -> Any:
        command = ["track", str(source), "--init", box, "--quiet", "--weights", untrained]
        try:
            status = main([*command, *arguments, *small])
        except SystemExit as stop:
            status = int(stop.code or 0)
        printed = capsys.readouterr()
        return status, printed.err, list(csv.DictReader(printed.out.splitlines()))

    yield track
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "frames"
    place.mkdir()
    for index, frame in enumerate(CLIP):
        cv2.imwrite(str(place / f"{index}.png"), frame[..., ::-1])
    return place


@pytest.mark.parametrize(
    ("box", "read"),
    [
        ("-20,-10,60,60", (-20, -10, 60, 60)),
        ("-0.5,3,60,60", (-0.5, 3, 60, 60)),
        (" -20, -10, 60, 60", (-20, -10, 60, 60)),
        ("-20;-10;60;60", (-20, -10, 60, 60)),
        ("-1e1,-1e1,60,60", (-10, -10, 60, 60)),
        ("-.5,-.5,60,60", (-0.5, -0.5, 60, 60)),
        ("10,-5,60,60", (10, -5, 60, 60)),
    ],
)
def test_a_box_may_begin_with_a_minus(
    box: str, read: tuple[float, ...], run: Run, folder: Path
) -> None:
    status, errors, rows = run(folder, "--max-frames", "1", box=box)
    assert (status, errors) == (0, "")
    assert tuple(float(rows[0][key]) for key in "xywh") == pytest.approx(read)


def test_other_arguments_are_left_as_they_are() -> None:
    for given in (["--at", "-1"], ["--quiet", "--init", "1,2,3,4"], ["a", "-1,2"], ["--csv", "-"]):
        assert with_negative_boxes(given) == given


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--start-frame", "-1"], "expected a whole number of 0 or more"),
        (["--start-frame=-3"], "expected a whole number of 0 or more"),
        (["--start-frame", "1.5"], "expected a whole number of 0 or more"),
        (["--start-frame", "10"], "start frame below 10"),
        (["--max-frames", "0"], "above 0"),
        (["--out", "out.gif"], "--out: expected a video name ending in"),
        (["--sheet", "sheet.pdf"], "--sheet: expected an image name"),
        (["--csv", "table.avi"], "--csv: expected a name such as"),
        (["--sheet", "frames/sheet.png"], "lies in the input"),
        (["--csv", "t.csv", "--sheet", "t.csv"], "expected"),
    ],
)
def test_what_cannot_work_is_refused_before_the_work(
    arguments: list[str], expected: str, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    before = sorted(folder.parent.rglob("*"))
    status, errors, rows = run("frames", *arguments)
    assert status != 0 and expected in errors and not rows
    assert sorted(folder.parent.rglob("*")) == before


@pytest.mark.parametrize("kind", ["folder", "larger", "turned"])
def test_a_frame_of_another_size_releases_the_targets(kind: str, run: Run, folder: Path) -> None:
    sizes = {"folder": (80, 60), "larger": (320, 240), "turned": (120, 160)}
    for index in range(6, 10):
        path = folder / f"{index}.png"
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), sizes[kind]))
    out = folder.parent / "out.mp4"
    status, errors, rows = run(folder, "--csv", "-", "--out", str(out))
    assert status == 1 and [row["frame"] for row in rows] == list("012345")
    width, height = sizes[kind]
    assert f"changed from 160x120 to {width}x{height} at frame 6: the targets are rel" in errors
    assert [f.shape for f in open_frames(out)] == [(120, 160, 3)] * 6


def test_times_of_the_source_come_out_in_table_and_video(run: Run, tmp_path: Path) -> None:
    times = [0, 0.04, 0.08, 1.12, 1.16, 1.2, 1.24, 1.28, 1.32, 1.36]
    source, out = tmp_path / "in.mp4", tmp_path / "out.mp4"
    with VideoWriter(source, 25) as writer:
        for frame, time_s in zip(CLIP, times, strict=True):
            writer.write(frame, time_s)
    status, errors, rows = run(source, "--csv", "-", "--out", str(out), "--start-frame", "1")
    assert (status, errors) == (0, "")
    assert [int(row["frame"]) for row in rows] == list(range(1, 10))
    assert [float(row["time_s"]) for row in rows] == pytest.approx(times[1:], abs=1e-4)
    written = [f.time_s for f in open_frames(out).timed()]
    assert written == pytest.approx([t - times[1] for t in times[1:]], abs=1e-4)


def test_images_without_times_have_none(run: Run, folder: Path) -> None:
    _, _, rows = run(folder, "--max-frames", "2")
    assert [row["time_s"] for row in rows] == ["", ""]


def test_a_damaged_start_frame_asks_for_another_box(run: Run, folder: Path) -> None:
    (folder / "0.png").write_text("broken")
    status, errors, rows = run(folder)
    assert status == 1 and not rows
    assert "frame 0, on which --init was drawn, cannot be read; the first that can is 1" in errors


def test_an_input_is_left_byte_for_byte(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    with VideoWriter(source, 25) as writer:
        for frame in CLIP:
            writer.write(frame)
    (tmp_path / "link.mp4").symlink_to(source)
    data = source.read_bytes()
    for name in ("in.mp4", "link.mp4"):
        status, errors, _ = run(source, "--out", str(tmp_path / name))
        assert status == 1 and "are one file" in errors and source.read_bytes() == data
