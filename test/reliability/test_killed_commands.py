"""kill -9 at a random moment: what was written is readable, and the same command goes on."""

from __future__ import annotations

import csv
import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_process import CommandProcess

from dcfst_core.evaluation.image_bags import write_image_bag
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.bags import ImageBag
from dcfst_core.media.video import VideoWriter, open_frames

Start = Callable[..., CommandProcess]
FRAMES = 400
SLOW_MKV, SLOW_AVI = (pytest.param(f"out.{end}", marks=pytest.mark.slow) for end in ("mkv", "avi"))
LONG = SyntheticClip(frames=60, size=(160, 120), target=(24, 30), period=60)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.avi"
    frames = list(LONG)
    with VideoWriter(path, 30.0) as writer:
        for index in range(FRAMES):
            writer.write(frames[index % 60])
    return path


@pytest.fixture
def moment() -> int:
    """How many frames in the kill comes; another one each time, told when a test fails."""
    frames = random.SystemRandom().randint(5, 60)
    print(f"killed after {frames} frames")
    return frames


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open())) if path.exists() else []


def kill_when(process: CommandProcess, reached: Callable[[], bool]) -> None:
    until = time.monotonic() + 100
    while not reached():
        assert process.process.poll() is None and time.monotonic() < until, process.output
        time.sleep(0.002)
    process.kill()
    assert process.process.returncode == -9, "it must be killed before it ends"


@pytest.mark.fault("kill -9 of `dcfst track` at a random moment")
@pytest.mark.parametrize("name", ["out.mp4", SLOW_MKV, SLOW_AVI])
def test_table_and_video_of_a_killed_track_are_readable_and_it_can_run_again(
    command: Start,
    long_clip: Path,
    box: str,
    untrained: str,
    small: list[str],
    tmp_path: Path,
    moment: int,
    name: str,
) -> None:
    out, table = tmp_path / name, tmp_path / "t.csv"
    arguments = ["track", long_clip, "--init", box, "--out", out, "--csv", table]
    arguments += ["--weights", untrained, "--device", "cpu", *small]
    kill_when(command(*arguments), lambda: len(rows_of(table)) > moment)
    rows = rows_of(table)
    # The last row may have been in work; those before are whole and without gaps.
    assert [int(row["frame"]) for row in rows[:-1]] == list(range(len(rows) - 1))
    assert all(row["time_s"] for row in rows[:-1])
    assert not out.exists(), "a video that is not finished does not take its place"
    part = tmp_path / f".{name}.part"
    if len(rows) > 26:  # a group of twelve frames is written when it is whole
        with open_frames(part) as source:
            assert len(rows) - 26 < len(list(source)) <= len(rows) + 1
    assert command(*arguments, "--max-frames", 20).wait() == 0
    with open_frames(out) as source:
        assert len(list(source)) == 20
    assert len(rows_of(table)) == 20 and not part.exists()


@pytest.mark.fault("kill -9 of `dcfst bag` at a random moment")
def test_the_bag_of_a_killed_run_is_readable_and_it_can_run_again(
    command: Start, box: str, untrained: str, small: list[str], tmp_path: Path, moment: int
) -> None:
    bag = write_image_bag(tmp_path / "drive", [*LONG] * 4)
    before = {p.name: p.read_bytes() for p in bag.iterdir()}
    arguments = ["bag", bag, "--image-topic", "/camera/image_raw", "--init", box]
    arguments += ["--weights", untrained, "--device", "cpu", *small]
    part = tmp_path / ".drive_tracked.part" / "drive_tracked"
    process = command(*arguments)

    def written() -> int:
        return sum(file.stat().st_size for file in part.glob("*.mcap")) if part.exists() else 0

    kill_when(process, lambda: written() > moment * 160 * 120 * 3)
    assert not (tmp_path / "drive_tracked").exists()
    with ImageBag(part, "/camera/image_raw") as source:
        assert source.notes and len(list(source.messages())) > 0
    assert {p.name: p.read_bytes() for p in bag.iterdir()} == before
    assert command(*arguments).wait() == 0
    with ImageBag(tmp_path / "drive_tracked", "/camera/image_raw") as source:
        assert source.complete and source.image_count == 240
        assert {"/tracker/track", "/tracker/tracks", "/tracker/state"} <= set(source.topics)
    assert not part.parent.exists()


@pytest.mark.fault("kill -9 of `dcfst eval` at a random moment")
def test_a_killed_evaluation_goes_on_with_what_is_left(
    command: Start,
    write_otb: Callable[..., str],
    untrained: str,
    small: list[str],
    tmp_path: Path,
) -> None:
    names = ("A", "B", "C", "D", "E", "F", "G", "H")  # enough are left when the kill comes
    root = write_otb(tmp_path / "otb", 30, names)
    out = tmp_path / "out"
    arguments = ["eval", root, "--format", "otb", "--out", out, "--weights", untrained, *small]
    arguments += ["--device", "cpu", "--json", tmp_path / "e.json"]
    done = random.SystemRandom().randint(1, 2)

    def finished() -> list[Path]:
        return sorted(out.rglob("*_001.txt"))

    kill_when(command(*arguments), lambda: len(finished()) >= done)
    # The sequence in work may have written some of its files; it is run again.
    kept = {path: path.stat().st_mtime_ns for path in finished()}
    again = command(*arguments)
    assert again.wait() == 0
    found = re.search(r"\((\d) done before\)", again.output)
    before = int(found[1]) if found else 0  # none, if the kill came while the first was written
    assert len(kept) - 1 <= before <= len(kept)
    unchanged = sum(path.stat().st_mtime_ns == time_ns for path, time_ns in kept.items())
    assert unchanged == before
    assert len(finished()) == len(names)
    assert json.loads((tmp_path / "e.json").read_text())


@pytest.mark.fault("kill -9 of `dcfst-train pack` at a random moment")
def test_a_killed_packing_goes_on_with_what_is_left(command: Start, tmp_path: Path) -> None:
    pytest.importorskip("dcfst_training")
    out = tmp_path / "shards"
    flags = ["--data.synthetic=60", "--pack.shard_mb=0.05", "--pack.frames_per_window=2"]
    arguments = ["train", "pack", f"--out={out}", "--workers=0", *flags]
    wanted = random.SystemRandom().randint(2, 6)

    def shards() -> list[Path]:
        return sorted(out.glob("*.tar"))

    kill_when(command(*arguments), lambda: len(shards()) >= wanted)
    kept = {path: path.read_bytes() for path in shards()[:-1]}  # the last may not be in the index
    again = command(*arguments)
    assert again.wait() == 0 and "wrote 60 samples" in again.output
    assert {path: path.read_bytes() for path in kept} == kept
    assert not list(out.glob("*.unfinished"))
