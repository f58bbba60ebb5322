"""A disk that is full: the command says so and ends; what was there before is still there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_process import CommandProcess

Start = Callable[..., CommandProcess]
KIB = 2**10


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if ".part" in p.name or ".partial" in p.name)


@pytest.mark.fault("disk full while writing a video")
@pytest.mark.parametrize("name", ["out.avi", "out.mp4", "out.mkv"])
def test_a_video_that_cannot_grow_is_an_error_and_the_old_one_stays(
    track: Start, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    out.write_bytes(b"the video of yesterday")
    process = track("--out", out, "--csv", tmp_path / "t.csv", file_bytes=24 * KIB)
    assert process.wait() == 1
    # A small file's bytes may wait in a buffer until it is finished.
    said = re.search(
        r"dcfst track: cannot (write to|finish) (\S+): File too large", process.output
    )
    assert said is not None and said[2] == str(out)
    assert out.read_bytes() == b"the video of yesterday"
    assert leftovers(tmp_path) == []
    rows = (tmp_path / "t.csv").read_text().splitlines()
    assert len(rows) > 1 and all(row.count(",") == rows[0].count(",") for row in rows)


@pytest.mark.fault("disk full while writing the CSV table")
def test_a_table_that_cannot_grow_is_an_error(track: Start) -> None:
    process = track("--csv", "/dev/full")
    assert process.wait() == 1
    assert "dcfst track: cannot write to /dev/full: No space left on device" in process.output


@pytest.mark.fault("disk full while saving a target")
def test_a_target_that_cannot_be_saved_is_an_error_and_the_old_one_stays(
    track: Start, tmp_path: Path
) -> None:
    saved = tmp_path / "cup.target"
    saved.write_bytes(b"the target of yesterday")
    process = track("--save", saved, "--max-frames", 3, file_bytes=64 * KIB)
    assert process.wait() == 1
    assert f"expected to write the target to {saved}" in process.output
    assert saved.read_bytes() == b"the target of yesterday"
    assert leftovers(tmp_path) == []


@pytest.mark.fault("disk full while writing the contact sheet")
def test_a_sheet_that_cannot_be_written_leaves_no_half_of_it(track: Start, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    process = track("--sheet", sheet, "--max-frames", 4, file_bytes=8 * KIB)
    assert process.wait() == 1
    assert str(sheet) in process.output and "File too large" in process.output
    assert not sheet.exists() and leftovers(tmp_path) == []


@pytest.mark.fault("disk full while writing heatmaps")
def test_heatmaps_that_cannot_be_written_are_an_error(track: Start, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    process = track("--heatmap", folder, "--max-frames", 4, file_bytes=8 * KIB)
    assert process.wait() == 1
    assert "File too large" in process.output
    assert leftovers(folder) == []


@pytest.mark.fault("disk full while packing a shard")
def test_a_shard_that_cannot_grow_is_an_error_and_packing_goes_on(
    command: Start, tmp_path: Path
) -> None:
    pytest.importorskip("dcfst_training")
    out = tmp_path / "shards"
    flags = ["--data.synthetic=6", "--pack.shard_mb=0.1", "--pack.frames_per_window=2"]
    arguments = ["train", "pack", f"--out={out}", "--workers=0", *flags]
    process = command(*arguments, file_bytes=24 * KIB)
    assert process.wait() == 1
    assert f"expected room for a shard of 0.1 MB in {out}; File too large" in process.output
    assert [path for path in out.iterdir() if path.suffix == ".unfinished"] == []
    again = command(*arguments)
    assert again.wait() == 0
    assert "wrote 6 samples" in again.output
