"""Each example runs as it is printed in its first lines, with the shipped weights."""

from __future__ import annotations

import csv
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.sinks import VideoWriter
from dcfst_core.media.video import open_frames

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
Run = Callable[..., str]
CLIP = SyntheticClip(frames=8, size=(240, 180), target=(36, 44), period=120)
BOX = ",".join(f"{value:.1f}" for value in CLIP.boxes_xywh()[0])


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "my.mp4"
    with VideoWriter(path, 25) as writer:
        for frame in CLIP:
            writer.write(frame, None)
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example as a script, in this process: PyTorch is loaded once."""

    def run_it(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run_it


def test_follow_video(run: Run, video: Path, tmp_path: Path) -> None:
    printed = run("follow_video.py", video, BOX, tmp_path / "out.mp4")
    assert printed.count("tracking") == len(CLIP)
    with open_frames(tmp_path / "out.mp4") as frames:
        assert len(list(frames)) == len(CLIP)


def test_teach_once_and_find_again(run: Run, video: Path, tmp_path: Path) -> None:
    target = tmp_path / "cup.target"
    assert "learned from 8 frames" in run("teach_and_find.py", "teach", video, BOX, target)
    assert target.stat().st_size < 5e6
    found = run("teach_and_find.py", "find", video, target)
    match = re.search(r"found cup in frame (\d+) at \((.*)\)", found)
    assert match is not None, found
    x, y, *_ = (float(value) for value in match[2].split(", "))
    true = CLIP.boxes_xywh()[int(match[1])]
    assert abs(x - true[0]) < 12 and abs(y - true[1]) < 12


def test_many_targets(run: Run, video: Path) -> None:
    printed = run("many_targets.py", video, f"cup={BOX}", "wall=10,10,40,40")
    assert printed.count("cup: tracking") == len(CLIP) and printed.count("wall: ") == len(CLIP)


@pytest.mark.parametrize("name", ["follow_video.py", "teach_and_find.py", "many_targets.py"])
def test_without_arguments_each_says_what_it_wants(run: Run, name: str) -> None:
    with pytest.raises(SystemExit, match=f"python examples/{name}"):
        run(name)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_each_is_short_enough_to_read_at_once(path: Path) -> None:
    assert path.read_text().count("\n") <= 150


def loop(out: Path, seconds: float, pillar_at_s: float) -> list[dict[str, str]]:
    pytest.importorskip("rclpy")
    pytest.importorskip("matplotlib")
    command = [sys.executable, str(EXAMPLES / "pan_tilt.py"), "--out", str(out)]
    command += ["--seconds", str(seconds), "--pillar-at", str(pillar_at_s)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (out / "error.png").stat().st_size > 5000
    with open(out / "error.csv") as file:
        return list(csv.DictReader(file))


def check(rows: list[dict[str, str]], seconds: float) -> None:
    assert len(rows) == int(15 * seconds)
    hidden = [row for row in rows if row["hidden"] == "1"]
    assert hidden and any(row["state"] != "tracking" for row in hidden)
    # Found again, and back in the middle: the target is 40 px wide.
    assert rows[-1]["state"] == "tracking"
    assert max(float(row["error_px"]) for row in rows[-15:]) < 20
    # Two seconds after its start the loop holds the target.
    start = [float(row["error_px"]) for row in rows[15:30]]
    assert max(start) < 40


@pytest.mark.ros
def test_the_pan_tilt_camera_keeps_its_target_in_the_middle(tmp_path: Path) -> None:
    check(loop(tmp_path, 8, 3), 8)


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.timeout(3100)
def test_the_pan_tilt_camera_for_a_minute(tmp_path: Path) -> None:
    check(loop(tmp_path, 60, 25), 60)
