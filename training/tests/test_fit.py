"""`dcfst-train fit` and `export` as a user runs them, on drawn targets."""

from __future__ import annotations

import csv
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from dcfst_core import load_tracker
from dcfst_core.evaluation.metrics import overlaps
from dcfst_core.network.checkpoint import load_model
from dcfst_core.network.model import DCFSTNet
from dcfst_training.cli import main
from dcfst_training.curves import read_curves
from dcfst_training.datasets import MovingTargets
from dcfst_training.export import read_checkpoint

DEBUG = Path(__file__).parents[1] / "configs" / "debug.yaml"
SHORT = [
    "--data.batch_size=2",
    "--data.pairs_per_epoch=4",
    "--data.validation_pairs=2",
    "--model.start=gaussian",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]


def fit(run: Path, epochs: int) -> None:
    # The schedule follows max_epochs, so a run is cut short by its stopping point, not its length.
    length = ["--trainer.max_epochs=2", f"--stop_after_epoch={epochs}"]
    main(["fit", f"--config={DEBUG}", f"--run={run}", *SHORT, *length])


def losses(run: Path, session: int | None = None) -> dict[int, float]:
    """The training loss by step, of all sessions of a run or of one."""
    found = {}
    which = "*" if session is None else session
    for path in sorted(run.glob(f"csv/version_{which}/metrics.csv")):
        with path.open() as file:
            for row in csv.DictReader(file):
                if row.get("train/loss"):
                    found[int(row["step"])] = float(row["train/loss"])
    return found


@pytest.fixture(scope="module")
def debug_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`debug.yaml` as it is."""
    run = tmp_path_factory.mktemp("runs") / "debug"
    main(["fit", f"--config={DEBUG}", f"--run={run}", "--trainer.enable_progress_bar=false"])
    return run


def test_the_debug_recipes_losses_fall(debug_run: Path) -> None:
    curves = read_curves(debug_run)
    for name in ("loss", "score_loss", "iou_loss"):
        train, held_out = (list(curves[f"{part}/{name}"].values()) for part in ("train", "val"))
        assert len(train) == 24 and len(held_out) == 5
        assert np.mean(train[-6:]) < 0.85 * np.mean(train[:6]), name
        assert held_out[-1] < held_out[0], name


def test_what_was_trained_is_exported_and_tracks(debug_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.safetensors"
    main(["export", str(debug_run / "last.ckpt"), str(out), "--note", "drawn targets"])
    model = load_model(out)
    assert model.metadata["note"] == "drawn targets"
    assert model.metadata["steps"] == 24
    state = read_checkpoint(debug_run / "last.ckpt")["state_dict"]
    trained = state["net.embedding.block3.fc.weight"]
    assert torch.allclose(model.embedding.block3.fc.weight, trained, atol=1e-3)
    clip = MovingTargets(51).clip(50)  # the recipe draws the first 48
    tracker = load_tracker(out, device="cpu")
    tracker.init(clip.read(0), clip.boxes_xywh[0])
    found = [tracker.update(clip.read(index)).box_xywh for index in range(1, 8)]
    assert overlaps(np.array(found), clip.boxes_xywh[1:8]).mean() > 0.6
    assert overlaps(np.array([clip.boxes_xywh[0]]), clip.boxes_xywh[7:8]) < 0.3  # it moves


def test_a_frozen_trunk_keeps_its_statistics(debug_run: Path) -> None:
    """Lightning starts with the modes it finds: a trunk left in training mode drifts silently."""
    state = read_checkpoint(debug_run / "last.ckpt")["state_dict"]
    fresh = DCFSTNet().state_dict()
    names = [name for name in fresh if name.startswith("trunk.") and "running_mean" in name]
    assert names
    for name in names:
        assert torch.equal(state[f"net.{name}"], fresh[name])


def test_a_run_that_was_stopped_goes_on_as_if_unbroken(tmp_path: Path) -> None:
    unbroken, run = tmp_path / "unbroken", tmp_path / "broken"
    fit(unbroken, epochs=2)
    fit(run, epochs=1)
    assert read_checkpoint(run / "last.ckpt")["global_step"] == 2
    before = losses(run)
    fit(run, epochs=2)
    curve = before | losses(run)
    expected = losses(unbroken)
    assert set(curve) == set(expected) == {0, 1, 2, 3}
    for step, loss in expected.items():
        assert math.isfinite(loss)
        assert curve[step] == pytest.approx(loss, rel=1e-4)


def error_of(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that ends with status 1."""
    with pytest.raises(SystemExit) as done:
        main(command)
    assert done.value.code == 1
    return capsys.readouterr().err


def test_a_missing_checkpoint_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["export", str(tmp_path / "none.ckpt"), str(tmp_path / "out.safetensors")]
    assert re.search(r"training checkpoint at .*none\.ckpt", error_of(command, capsys))


def test_no_data_set_is_an_error_that_names_the_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fit", f"--config={DEBUG}", f"--run={tmp_path}", "--data.synthetic=0", *SHORT]
    assert "--data.video_folders, --data.still_folders" in error_of(command, capsys)


@pytest.fixture
def one_thread() -> Iterator[dict[str, str]]:
    """One thread here and, with the environment it gives, in a process started from here.

    Threads of several processes that wait for each other in turn make a busy machine ten times
    slower, and sums over another number of threads are rounded otherwise.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield {**os.environ, "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(before)


@pytest.mark.fault("kill -9 of `dcfst-train fit` inside an epoch")
@pytest.mark.timeout(900)  # a quarter of a minute, but for a machine that is busy otherwise
def test_a_run_killed_inside_an_epoch_goes_on_exactly(
    tmp_path: Path, one_thread: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL at some step of the first of two epochs; the curve is that of an unbroken run."""

    # Only the IoU predictor learns: what is tested is where a run goes on, and this is quick.
    settings = {
        **{"model.score_weight": 0, "trainer.max_epochs": 2},
        **{"data.batch_size": 1, "data.pairs_per_epoch": 5, "data.workers": 1},
        "trainer.limit_val_batches": 0,
    }

    def command(run: Path, checkpoint_every_minutes: float = 60) -> list[str]:
        chosen = settings | {"checkpoint_every_minutes": checkpoint_every_minutes}
        options = [f"--{name}={value}" for name, value in chosen.items()]
        return ["fit", f"--config={DEBUG}", f"--run={run}", *SHORT, *options]

    run = tmp_path / "killed"
    program = [sys.executable, "-m", "dcfst_training.cli", *command(run, 1e-4)]
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            program, stdout=output, stderr=output, start_new_session=True, env=one_thread
        )
        try:
            while process.poll() is None and len(losses(run)) < 2:
                time.sleep(0.05)
        finally:
            if process.poll() is None:
                # The whole session: a loader process would outlive its parent for a moment.
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == -signal.SIGKILL, (tmp_path / "output").read_text()
    done = read_checkpoint(run / "last.ckpt")["global_step"]
    assert 0 < done < 5, "the kill must come inside the first epoch"
    before = losses(run)
    capsys.readouterr()
    main([*command(run), "--trainer.enable_progress_bar=true"])
    shown = capsys.readouterr().out
    assert f"Epoch 0:  {20 * done}%" in shown, shown
    after = losses(run, session=1)
    assert min(after) == done and max(after) == 9
    main(command(tmp_path / "unbroken"))
    expected = losses(tmp_path / "unbroken")
    assert set(before | after) == set(expected) == set(range(10))
    for step, loss in (before | after).items():
        assert loss == pytest.approx(expected[step], rel=1e-5)


@pytest.mark.fault("a loss that is not finite")
@pytest.mark.parametrize("minutes", [60, 1e-4])
def test_a_loss_that_is_not_finite_ends_the_run_with_its_pairs_named(
    tmp_path: Path, minutes: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """With status 1, and with the last checkpoint if there is one already."""
    quick = ["--model.score_weight=0", "--trainer.limit_val_batches=0"]
    too_fast = ["--model.iou_lr=1e30", "--model.warmup_steps=0"]
    options = [*SHORT, *quick, *too_fast, f"--checkpoint_every_minutes={minutes}"]
    message = error_of(["fit", f"--config={DEBUG}", f"--run={tmp_path}", *options], capsys)
    assert re.search(r"the loss is (nan|inf) at step 1 \(batch 1 of epoch 0\)", message)
    assert len(re.findall(r"synthetic/\d+ \(\d+, \d+\)", message)) == 2
    newest = tmp_path / "last.ckpt"
    assert newest.is_file() == (minutes < 1)
    if newest.is_file():
        assert f"checkpoint is {newest}, after 1 steps" in message
    else:
        assert "No checkpoint has been written yet" in message


@pytest.mark.parametrize("path", sorted(DEBUG.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_name_settings_that_exist(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["fit", f"--config={path}", "--print_config"])
    assert done.value.code == 0
    wanted, whole = yaml.safe_load(path.read_text()), yaml.safe_load(capsys.readouterr().out)
    for part in ("model", "data", "trainer"):
        for name in wanted[part]:
            assert name in whole[part]
    assert whole["checkpoint_every_minutes"] > 0


def test_the_papers_constants_are_in_its_recipe() -> None:
    recipe = yaml.safe_load((DEBUG.parent / "paper.yaml").read_text())
    model, data = recipe["model"], recipe["data"]
    assert data["pairs_per_epoch"] == 1500 * data["batch_size"] == 1500 * 48
    assert (model["train_grid"], model["regularization"], model["head_lr"]) == (31, 0.1, 0.005)
    assert (model["start"], model["schedule"], model["trunk_lr"]) == ("gaussian", "step", 0.0)
    assert (recipe["trainer"]["max_epochs"], data["max_gap"]) == (40, 100)
    got10k = yaml.safe_load((DEBUG.parent / "got10k_only.yaml").read_text())
    assert got10k["model"] == model and got10k["data"]["crop"] == data["crop"]
