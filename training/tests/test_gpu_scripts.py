"""The scripts for a machine with a GPU, tried out without one; and what they need installed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from dcfst_training.cli import main
from dcfst_training.datasets import MovingTargets
from dcfst_training.export import read_checkpoint

ROOT = Path(__file__).parents[2]
ABSENT = ("jsonargparse", "webdataset", "tensorboard", "tensorboardX")
WITHOUT = f"""
import sys
import tarfile
for name in {ABSENT}:
    sys.modules[name] = None  # as if it were not installed
from dcfst_training.cli import main
main(sys.argv[1:])
"""


def write_data(root: Path) -> Path:
    """Drawn videos and stills in the layouts of `video_folders` and `still_folders`."""
    images = []
    (root / "stills" / "drawn" / "images").mkdir(parents=True)
    for number in range(8):
        clip = MovingTargets(8).clip(number)
        folder = root / "videos" / "drawn" / f"v{number}"
        (folder / "img").mkdir(parents=True)
        for frame in range(4):
            cv2.imwrite(str(folder / "img" / f"{frame:04d}.png"), clip.read(frame)[..., ::-1])
        np.savetxt(folder / "groundtruth_rect.txt", clip.boxes_xywh[:4], delimiter=",")
        name = f"{number}.png"
        cv2.imwrite(str(root / "stills" / "drawn" / "images" / name), clip.read(9)[..., ::-1])
        objects = [{"label": "x", "box": clip.boxes_xywh[9].tolist()}]
        images.append({"file": name, "width": 320, "height": 240, "objects": objects})
    (root / "stills" / "drawn" / "boxes.json").write_text(json.dumps(images))
    return root


def program(code: str, *arguments: object, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_fit_and_a_step_need_pytorch_and_lightning_alone(
    tmp_path: Path, debug_recipe: Path
) -> None:
    shown = program(
        WITHOUT,
        *("fit", "--config", debug_recipe, "--run", tmp_path, "--trainer.max_epochs", 1),
        *("--data.pairs_per_epoch=2", "--data.batch_size=1", "--model.start=gaussian"),
        *("--model.score_weight=0", "--trainer.limit_val_batches=0"),
    )
    assert "without jsonargparse" in shown and "TensorBoard is not installed" in shown
    assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == 2
    step = ("bench", "step", "--batch", 2, "--grid", 3, "--repeats", 1, "--forms", "as trained")
    assert "as trained" in program(WITHOUT, *step, "--device", "cpu")


def test_the_first_steps_of_a_recipe_are_measured(
    tmp_path: Path, debug_recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--model.score_weight=0", "--model.start=gaussian", "--data.batch_size=1"]
    file = tmp_path / "fit.json"
    bench = ["bench", "fit", f"--config={debug_recipe}", *quick, "--steps=2", f"--json={file}"]
    main([*bench, "--trainer.enable_progress_bar=false"])
    (row,) = json.loads(file.read_text())["rows"]
    assert row["steps"] == 2 and row["pairs"] == 1 and 0 <= row["waiting"] < 1
    assert row["pairs_per_second"] == pytest.approx(1 / row["seconds"])
    assert "waiting for pairs" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_training_for_some_minutes_is_one_command_that_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    environment = {
        **os.environ,
        **{"DEVICE": "cpu", "MINUTES": "0.8", "STEPS": "3", "EVAL": str(tmp_path / "none")},
        **{"DATA": str(write_data(tmp_path / "data")), "PYTHON": sys.executable},
    }
    command = [str(ROOT / "scripts" / "train_gpu.sh"), str(out), "--data.holdout_sets=[]"]
    # The first session is killed after its first checkpoint.
    often = [*command, "--checkpoint_every_minutes=0.01"]
    process = subprocess.Popen(
        often, env=environment, start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        while process.poll() is None and not (out / "run" / "last.ckpt").is_file():
            time.sleep(0.2)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = read_checkpoint(out / "run" / "last.ckpt")["global_step"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "resuming from" in shown.stdout and "== 3 steps" not in shown.stdout
    assert read_checkpoint(out / "run" / "last.ckpt")["global_step"] > done
    results = {path.name: path.stat().st_size for path in (out / "results").iterdir()}
    assert {"fit.json", "curves.tar.gz", "dcfst_resnet18.json", "JOIN.txt"} <= set(results)
    assert "weights.tar.gz.01" in results and max(results.values()) <= 15e6
    join = (out / "results" / "JOIN.txt").read_text()
    subprocess.run(["bash", "-c", join], cwd=out / "results", check=True)
    joined = out / "results" / "dcfst_resnet18.safetensors"
    assert joined.read_bytes() == (out / "weights" / joined.name).read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_measuring_ends_in_time_and_says_what_it_left_out(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        **{"DEVICE": "cpu", "FRAMES": "1", "LIMIT": "40", "PYTHON": sys.executable},
    }
    command = [str(ROOT / "scripts" / "measure_gpu.sh"), str(tmp_path / "out")]
    start = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert time.monotonic() - start < 150
    assert done.returncode == 1 and "(no time left)" in done.stdout
    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        assert "out/tests.txt" in archive.getnames()
