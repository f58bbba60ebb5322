"""The commands as a user types them, on real files, good and bad."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dcfst_core.cli import bench
from dcfst_core.cli.main import main
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.video import VideoWriter, open_frames

CLIP = SyntheticClip(frames=20, size=(160, 120), target=(24, 30), period=60)
BOX = ",".join(f"{v:.1f}" for v in CLIP.boxes_xywh()[0])


@pytest.fixture(autouse=True)
def same_threads_afterwards() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("video") / "clip.mkv"
    with VideoWriter(path, fps=25) as writer:
        for frame in CLIP:
            writer.write(frame)
    return str(path)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_track_writes_video_csv_and_sheet(
    untrained: str, video: str, tmp_path: Path, capsys, small: list[str]
) -> None:
    out, table, sheet = tmp_path / "o" / "out.mp4", tmp_path / "t.csv", tmp_path / "s.png"
    outputs = ["--out", str(out), "--csv", str(table), "--sheet", str(sheet)]
    assert main(["track", video, "--init", BOX, "--weights", untrained, *outputs, *small]) == 0
    rows = rows_of(table.read_text())
    assert [int(r["frame"]) for r in rows] == list(range(20))
    assert rows[0]["state"] == "tracking" and rows[0]["target"] == "target"
    assert [float(rows[0][k]) for k in "xywh"] == [float(v) for v in BOX.split(",")]
    with open_frames(out) as source:
        assert source.fps == pytest.approx(25) and len(list(source)) == 20
    page = cv2.imread(str(sheet))
    assert page.shape[1] == 4 * 326 + 6 and page.shape[0] == 3 * 246 + 6
    printed = capsys.readouterr()
    assert "20 frames (" in printed.err and f"wrote {out}" in printed.err and not printed.out


def test_track_follows_the_target_of_a_folder_from_a_later_frame(
    untrained: str, tmp_path: Path, capsys, small: list[str]
) -> None:
    for i, frame in enumerate(CLIP):
        cv2.imwrite(str(tmp_path / f"{i}.png"), frame[..., ::-1])
    truth = CLIP.boxes_xywh()
    box = ",".join(str(v) for v in truth[5])
    arguments = ["--init", box, "--weights", untrained, "--start-frame", "5", "--max-frames", "10"]
    assert main(["track", str(tmp_path), *arguments, "--quiet", *small]) == 0
    rows = rows_of(capsys.readouterr().out)  # without outputs the tracks are printed
    assert [int(r["frame"]) for r in rows] == list(range(5, 15))
    found = np.array([(float(r["x"]), float(r["y"])) for r in rows])
    # A random trunk is a poor but real feature: it must move with the target, which went 25 px.
    stayed, followed = (
        np.hypot(*(places - truth[5:15, :2]).T).mean() for places in (truth[5, :2], found)
    )
    assert followed < 0.6 * stayed


def test_track_takes_several_targets(untrained: str, video: str, capsys, small: list[str]) -> None:
    boxes = ["--init", BOX, "--init", "5,5,20,20"]
    arguments = ["--weights", untrained, "--max-frames", "3", "--quiet", *small]
    assert main(["track", video, *boxes, *arguments]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert [r["frame"] + r["target"] for r in rows] == ["01", "02", "11", "12", "21", "22"]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ("1,2,3", "expected a box as x,y,w,h"),
        ("a,b,c,d", "got 'a,b,c,d'"),
        ("10,10,0,20", "positive width and height"),
        ("10,10,nan,20", "finite numbers"),
        ("500,10,20,20", "overlaps the 160x120 image"),
    ],
)
def test_track_refuses_bad_boxes(
    untrained: str, video: str, capsys, box: str, expected: str, small: list[str]
) -> None:
    assert main(["track", video, "--init", box, "--weights", untrained, *small]) == 1
    assert expected in capsys.readouterr().err


def test_track_names_bad_videos_weights_and_settings(
    untrained: str, video: str, tmp_path: Path, capsys
) -> None:
    def error(*arguments: str) -> str:
        assert main(["track", *arguments]) == 1
        return capsys.readouterr().err

    text = tmp_path / "text.mp4"
    text.write_text("this is no video")
    init = ["--init", BOX, "--weights", untrained]
    assert "there is nothing at" in error("missing.mp4", *init)
    assert "expected a video file" in error(str(text), *init)
    assert "start frame below 20" in error(video, *init, "--start-frame", "99")
    missing = str(tmp_path / "no.safetensors")
    assert "expected a weights file at" in error(video, "--init", BOX, "--weights", missing)
    assert "known ones" in error(video, *init, "--set", "speed=1")
    assert "learning_rate: expected 0.0 to 1.0, got 7" in error(
        video, *init, "--set", "learning_rate=7"
    )
    assert "expected FIELD=VALUE; got 'fast'" in error(video, *init, "--set", "fast")
    assert "got 'slow'" in error(video, *init, "--config", "slow")
    assert "ending in .mp4" in error(video, *init, "--out", str(tmp_path / "o.gif"))
    if not torch.cuda.is_available():
        assert "expected a CUDA device" in error(video, *init, "--device", "cuda")


def test_track_passes_over_a_bad_image_and_keeps_what_came_before_a_cut(
    untrained: str, video: str, tmp_path: Path, capsys, small: list[str]
) -> None:
    folder = tmp_path / "img"
    folder.mkdir()
    for i, frame in enumerate(list(CLIP)[:6]):
        cv2.imwrite(str(folder / f"{i}.png"), frame[..., ::-1])
    (folder / "4.png").write_text("broken")
    init = ["--init", BOX, "--weights", untrained, *small, "--csv", str(tmp_path / "t.csv")]
    assert main(["track", str(folder), *init, "--out", str(tmp_path / "t.mp4")]) == 1
    message = capsys.readouterr().err
    assert "frame 4 of" in message and "4.png (6 bytes) cannot be decoded" in message
    assert [r["frame"] for r in rows_of((tmp_path / "t.csv").read_text())] == list("01235")
    assert len(list(open_frames(tmp_path / "t.mp4"))) == 5

    cut = tmp_path / "cut.mkv"
    data = Path(video).read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    assert main(["track", str(cut), *init]) == 1
    message = capsys.readouterr().err
    count = len(rows_of((tmp_path / "t.csv").read_text()))
    assert 2 < count < 18 and f"promises 20 frames but ended after {count}" in message

    deep = tmp_path / "deep"
    deep.mkdir()
    cv2.imwrite(str(deep / "0.png"), np.zeros((120, 160), np.uint16))
    assert main(["track", str(deep), *init]) == 1
    assert "holds uint16 values" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C reaches a child process differently there")
def test_ctrl_c_leaves_a_video_that_plays(
    untrained: str, tmp_path: Path, small: list[str]
) -> None:
    long = tmp_path / "long.mkv"
    with VideoWriter(long) as writer:
        for frame in SyntheticClip(frames=400, size=(160, 120), target=(24, 30)):
            writer.write(frame)
    table, out = tmp_path / "t.csv", tmp_path / "t.mp4"
    slow = ["--set", "update_interval=1", *small[:-4], "--threads", "1"]
    command = [sys.executable, "-m", "dcfst_core.cli", "track", str(long), "--init", BOX]
    outputs = ["--weights", untrained, "--csv", str(table), "--out", str(out)]
    process = subprocess.Popen([*command, *outputs, *slow], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if table.is_file() and table.read_text().count("\n") > 5:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    rows = rows_of(table.read_text())
    assert process.returncode == 130, errors
    assert 5 <= len(rows) < 400
    assert len(list(open_frames(out))) == len(rows)


def test_eval_prints_tables_and_writes_everything(
    untrained: str, tmp_path: Path, capsys, small: list[str], write_otb: Callable[..., str]
) -> None:
    root = write_otb(tmp_path / "otb")
    out, scores = tmp_path / "out", tmp_path / "scores.json"
    arguments = ["eval", root, "--weights", untrained, "--out", str(out), "--json", str(scores)]
    more = ["--ablations", "--compare", "mil", "--calibration", "--report", str(tmp_path / "r")]
    assert main([*arguments, *more, "--quiet", *small]) == 0
    printed = capsys.readouterr().out
    names = ["dcfst", "dcfst-untrained-head", "dcfst-no-refinement", "dcfst-no-update", "mil"]
    for name in names:
        assert f"| {name} " in printed
        assert len(np.loadtxt(out / name / "A" / "A_001.txt", delimiter=",")) == 8
    assert "Spearman rank correlation" in printed
    document = json.loads(scores.read_text())
    assert [t["tracker"] for t in document["trackers"]] == names
    assert set(document["trackers"][0]["sequences"]) == {"A", "B"}
    assert document["config"]["patch_size"] == 96 and document["machine"]["torch"]
    for metric in ("auc", "precision", "ao", "sr50", "sr75", "fps"):
        assert document["trackers"][0]["mean"][metric] >= 0
    assert (tmp_path / "r" / "report.md").is_file()

    marker = out / "dcfst" / "A" / "A_001.txt"
    before = marker.stat().st_mtime_ns
    assert main([*arguments, "--quiet", *small]) == 0
    assert marker.stat().st_mtime_ns == before  # resumed, not repeated
    compare = ["--compare", str(out / "dcfst-no-update"), "--sequences", "B"]
    assert main([*arguments, *compare, "--quiet", *small]) == 0
    printed = capsys.readouterr().out
    assert "| dcfst-no-update " in printed and "| A " not in printed.split("\n\n")[-1]
    only = ["eval", root, "--out", str(tmp_path / "none"), "--compare-only", "--quiet"]
    assert main([*only, "--compare", str(out / "mil")]) == 0
    assert capsys.readouterr().out.startswith("| mil ") and not (tmp_path / "none").exists()
    assert main(only) == 1


def test_eval_names_bad_input(
    untrained: str, tmp_path: Path, capsys, write_otb: Callable[..., str]
) -> None:
    def error(*arguments: str) -> str:
        assert (
            main(["eval", *arguments, "--weights", untrained, "--out", str(tmp_path / "o")]) == 1
        )
        return capsys.readouterr().err

    assert "expected a data set folder" in error(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    assert "found no sequences" in error(str(tmp_path / "empty"))
    root = write_otb(tmp_path / "otb", names=("A",))
    assert "--compare: expected a folder of result files" in error(root, "--compare", "siamfc")
    assert "no sequence named Z" in error(root, "--sequences", "Z")
    with pytest.raises(SystemExit):
        main(["eval", root, "--format", "coco"])
    assert "invalid choice: 'coco'" in capsys.readouterr().err


def test_bench_measures_every_stage(
    untrained: str, tmp_path: Path, capsys, small: list[str]
) -> None:
    path = tmp_path / "bench.json"
    arguments = ["--iterations", "6", "--warmup", "1", "--size", "160x120", "--json", str(path)]
    settings = [*small[2:-2], "--set", "update_interval=2", "--threads", "1"]
    assert main(["bench", "--weights", untrained, *arguments, "--quiet", *settings]) == 0
    printed = capsys.readouterr().out
    document = json.loads(path.read_text())
    (found,) = document["benchmarks"]
    for stage in ("crop", "trunk", "head", "localise", "refine", "update", "solve", "total"):
        assert found["stages"][stage]["mean_ms"] > 0, stage
        assert f"| {stage} " in printed
    assert found["stages"]["total"]["p95_ms"] >= found["stages"]["total"]["p50_ms"]
    assert found["fps"] == pytest.approx(1e3 / found["stages"]["total"]["mean_ms"])
    assert found["frames"] == 6 and found["memory_mib"]["resident"] > 50
    assert document["machine"]["cpu cores"] >= 1 and "FPS, init" in printed


def test_bench_on_a_video_and_its_errors(
    untrained: str, video: str, capsys, monkeypatch, small: list[str]
) -> None:
    short = ["--weights", untrained, "--iterations", "1", "--warmup", "1", "--quiet", *small]
    monkeypatch.setattr(bench, "PRESETS", ("paper",))  # full-size presets take a second a frame
    assert main(["bench", "--video", video, "--init", BOX, "--targets", "3", *short]) == 0
    assert "3 target(s), 160x120, cpu" in capsys.readouterr().out
    assert main(["bench", "--video", video, "--init", BOX, "--compare", *short]) == 0
    printed = capsys.readouterr().out
    names = ["default", "paper", "straightforward"]
    if hasattr(cv2, "TrackerCSRT_create"):
        names.insert(2, "csrt")
    else:
        assert "csrt: left out" in printed and "install opencv-contrib-python" in printed
    for name in names:
        assert f"{name}: 1 target(s)" in printed and f"\n| {name} " in printed
    assert main(["bench", "--video", video, *short]) == 1
    assert "expected --init" in capsys.readouterr().err
    assert main(["bench", "--size", "big", *short]) == 1
    assert "expected WIDTHxHEIGHT" in capsys.readouterr().err


def test_bench_shows_how_the_cost_grows(
    untrained: str, tmp_path: Path, capsys, small: list[str]
) -> None:
    pytest.importorskip("matplotlib")
    short = ["--weights", untrained, "--iterations", "1", "--warmup", "1", "--quiet", *small]
    plot = ["--plot", str(tmp_path / "cost.png")]
    sweep = ["bench", "--size", "160x120", "--sweep", "targets=1,3", *plot]
    assert main([*sweep, *short]) == 0
    printed = capsys.readouterr().out
    assert "targets=3: 3 target(s)" in printed and "times targets=1" in printed
    assert cv2.imread(str(tmp_path / "cost.png")).std() > 5
    assert main(["bench", "--size", "160x120", "--sweep", "grid_size=9,13", *short]) == 0
    assert "| grid_size=13 " in capsys.readouterr().out
    for bad in ("targets=0", "targets", "speed=1,2", "grid_size=9,x"):
        assert main(["bench", "--sweep", bad, *short]) == 1
        assert "--sweep: expected targets=1,2,4" in capsys.readouterr().err
    assert main(["bench", *plot, *short]) == 1
    assert "--plot: expected --sweep" in capsys.readouterr().err


def test_info_tells_versions_and_weights(untrained: str, tmp_path: Path, capsys) -> None:
    assert main(["info", "--weights", untrained]) == 0
    printed = capsys.readouterr().out
    assert f"torch: {torch.__version__}" in printed and "note: untrained, for tests" in printed
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"xx")
    assert main(["info", "--weights", str(broken), "--json"]) == 1
    assert "weights error" in json.loads(capsys.readouterr().out)


def test_settings_come_from_presets_files_and_assignments(
    untrained: str, tmp_path: Path, capsys, write_otb: Callable[..., str]
) -> None:
    from dcfst_core.cli.main import build_parser
    from dcfst_core.cli.options import tracker_config

    def config(*arguments: str):
        parsed = build_parser().parse_args(["track", "v", "--init", BOX, *arguments])
        return tracker_config(parsed)

    assert not config("--config", "paper").subgrid_peak
    (tmp_path / "c.yaml").write_text("learning_rate: 0.02\nmemory: gram\n")
    (tmp_path / "c.json").write_text('{"learning_rate": 0.03}')
    assert config("--config", str(tmp_path / "c.yaml")).memory == "gram"
    assert config("--config", str(tmp_path / "c.json")).learning_rate == 0.03
    mixed = config("--config", str(tmp_path / "c.yaml"), "--set", "learning_rate=0.5")
    assert (mixed.learning_rate, mixed.memory) == (0.5, "gram")
    assert config("--set", "box_refinement=False").box_refinement is False
    assert config("--set", "precision=float32").precision == "float32"
    (tmp_path / "bad.yaml").write_text("a: [1, 2")
    (tmp_path / "list.yaml").write_text("- 1\n")
    for name, expected in (("bad.yaml", "expected YAML in"), ("list.yaml", "`name: value`")):
        arguments = ["--config", str(tmp_path / name), "--weights", untrained]
        assert main(["eval", write_otb(tmp_path / name[:3]), *arguments]) == 1
        assert expected in capsys.readouterr().err


def test_help_names_all_commands(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in ("track", "eval", "bench", "info"))
    with pytest.raises(SystemExit):
        main([])


def test_eval_hides_targets_plays_to_and_fro_and_starts_anew(
    untrained: str, tmp_path: Path, capsys, small: list[str], write_otb: Callable[..., str]
) -> None:
    root = write_otb(tmp_path / "otb", frames=12)
    scores = tmp_path / "scores.json"
    start = ["eval", root, "--weights", untrained, "--out", str(tmp_path / "out"), "--quiet"]
    absence = ["--absence", "--absence-kinds", "slid", "cut", "--absence-frames", "2"]
    written = ["--json", str(scores), "--report", str(tmp_path / "report")]
    assert main([*start, *absence, "--sequences", "A", *written, *small]) == 0
    assert "| slid 2 " in (tmp_path / "report" / "report.md").read_text()
    printed = capsys.readouterr().out
    for row in ("| slid 2 ", "| cut 2 ", "| found within 20 after 2 ", "| VOT drift"):
        assert row in printed, row
    figures = json.loads(scores.read_text())["judgement"]["dcfst"]
    assert len(figures["verdicts"]) == figures["cases"] == 2
    assert 0 <= figures["absent_tracking"] <= 1 and set(figures["found_within"]) == {"2"}
    long = ["--to-and-fro", "30", "--jitter", "2", "--sequences", "A"]
    assert main([*start, *long, "--json", str(scores), *small]) == 0
    printed = capsys.readouterr().out
    assert "first pass" in printed and "| A.to-and-fro.start1 " in printed
    assert len(json.loads(scores.read_text())["to_and_fro"]["dcfst"]) == 2
    assert main([*start, "--to-and-fro", "20", *small]) == 1
    assert "--to-and-fro: A: expected two whole passes" in capsys.readouterr().err
    assert main([*start, "--reunion", "4", "--json", str(scores), *small]) == 1
    assert "--reunion: expected a clip of 24 frames or more" in capsys.readouterr().err
    others = ["--compare-only", "--compare", "mil"]
    assert main([*start, "--reunion", "1", *others]) == 1
    assert "--reunion: expected DCFST to run" in capsys.readouterr().err
    only = [*start, "--absence", "--compare-only", "--compare", str(tmp_path / "out" / "dcfst")]
    assert main([*only, "--sequences", "A"]) == 1
    assert "--absence: expected a tracker to run" in capsys.readouterr().err


def test_tune_searches_and_replays_the_choice(
    untrained: str, tmp_path: Path, capsys, small: list[str], write_otb: Callable[..., str]
) -> None:
    pytest.importorskip("optuna")
    root = write_otb(tmp_path / "otb", frames=4)
    start = ["tune", root, "--weights", untrained, "--out", str(tmp_path / "out"), "--quiet"]
    vary = ["--vary", "learning_rate=0.01:0.1", "--trials", "2"]
    for folds, expected in (
        ("3", "expected 2 to 2 folds"),
        ("many", "expected a number of folds or `sets`; got 'many'"),
        ("sets", "expected sequences of two sets and more; all are of ''"),
    ):
        assert main([*start, *vary, "--folds", folds, *small]) == 1
        assert f"--folds: {expected}" in capsys.readouterr().err
    out = tmp_path / "trials.json"
    more = ["--folds", "2", "--jitter", "2", "--json", str(out)]
    assert main([*start, *vary, *more, *small]) == 0
    assert "(2 folds of 2 sequences chose trials" in capsys.readouterr().out
    assert [len(trial["auc"]) for trial in json.loads(out.read_text())["trials"]] == [2, 2]
    assert (tmp_path / "out" / "trial1" / "B.start1" / "B.start1_run.json").is_file()
