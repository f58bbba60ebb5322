"""Settings that cannot be, that changed since a run began, and that must not be ignored."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning import Trainer

from dcfst_core.network.model import Architecture, DCFSTNet
from dcfst_training.cli import main
from dcfst_training.export import read_checkpoint
from dcfst_training.fit import pairs_a_step
from dcfst_training.fit_settings import read_plainly, read_settings
from dcfst_training.module import DCFSTModule

QUICK = {
    **{"model.score_weight": 0, "model.warmup_steps": 0, "model.start": "gaussian"},
    **{"data.batch_size": 1, "data.pairs_per_epoch": 1, "trainer.limit_val_batches": 0},
    **{"trainer.enable_progress_bar": False, "trainer.enable_model_summary": False},
    "trainer.max_epochs": 1,
}


def flags(settings: dict) -> list[str]:
    return [f"--{name}={value}" for name, value in settings.items()]


def failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What `fit` says when it ends with status 1."""
    with pytest.raises(SystemExit) as done:
        main(["fit", *arguments])
    assert done.value.code == 1
    return capsys.readouterr().err


@pytest.fixture(scope="module")
def finished(debug_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step."""
    run = tmp_path_factory.mktemp("finished") / "run"
    main(["fit", f"--config={debug_recipe}", f"--run={run}", *flags(QUICK)])
    return run


@pytest.mark.parametrize(
    ("setting", "value", "shown"),
    [
        ("model.iou_lr", 1e-5, "--model.iou_lr 0.001 (got 1e-05)"),
        ("data.batch_size", 2, "--data.batch_size 1 (got 2)"),
        ("data.seed", 7, "--data.seed 0 (got 7)"),
        ("data.crop.shift", 0.5, "--data.crop.shift 1.0 (got 0.5)"),
        ("data.synthetic", 20, "--data.synthetic 48 (got 20)"),
        ("model.iou_weight", 0, "--model.iou_weight 1.0 (got 0.0)"),
    ],
)
def test_a_setting_that_changed_is_refused_by_name(
    finished: Path,
    debug_recipe: Path,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    value: float,
    shown: str,
) -> None:
    before = (finished / "last.ckpt").read_bytes()
    changed = flags(QUICK | {setting: value})
    message = failure([f"--config={debug_recipe}", f"--run={finished}", *changed], capsys)
    assert shown in message and f"--init_from {finished / 'last.ckpt'}" in message
    assert (finished / "last.ckpt").read_bytes() == before


def test_another_length_and_other_processes_are_said(
    finished: Path, debug_recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    checkpoint = read_checkpoint(run / "last.ckpt")
    assert checkpoint["run_settings"]["processes"] == 1
    checkpoint["run_settings"]["processes"] = 4
    torch.save(checkpoint, run / "last.ckpt")
    settings = QUICK | {"run": run, "data.workers": 1, "trainer.max_epochs": 2}
    main(["fit", f"--config={debug_recipe}", *flags(settings)])
    assert "goes on with max_epochs 2, which was 1: the learning rates" in caplog.text
    assert "processes 1, which was 4: its steps then have 1 / 4 of the pairs" in caplog.text
    assert read_checkpoint(run / "last.ckpt")["global_step"] == 2


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("data.batch_size", 0, r"data\.batch_size.* of at least 1 .*got 0"),
        ("data.holdout_every", 1, r"holdout_every of at least 2.*got 1"),
        ("model.train_grid", 1, r"train_grid of at least 2 .*got 1"),
        ("model.frozen_layers", "[layer9]", r"frozen_layers.*conv1, bn1.*got layer9"),
    ],
)
def test_settings_that_cannot_be_are_explained(
    debug_recipe: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    value: object,
    message: str,
) -> None:
    wrong = [f"--config={debug_recipe}", f"--run={tmp_path}", f"--{setting}={value}"]
    assert re.search(message, failure(wrong, capsys))


def test_too_few_crops_for_a_plain_start(
    debug_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [f"--config={debug_recipe}", f"--run={tmp_path}", "--plain_start_crops=7"]
    assert "plain_start_crops of at least 8" in failure(wrong, capsys)


def test_a_run_that_names_a_file(
    debug_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        wrong = [f"--config={debug_recipe}", f"--run={tmp_path / place}"]
        assert f"{tmp_path / place} is none" in failure(wrong, capsys)


def test_a_checkpoint_cut_short_is_named(
    finished: Path, debug_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for size in (0, 1000, -1000):
        data = (finished / "last.ckpt").read_bytes()[:size]
        (tmp_path / "last.ckpt").write_bytes(data)
        arguments = [f"--config={debug_recipe}", f"--run={tmp_path}", *flags(QUICK)]
        message = failure(arguments, capsys)
        assert f"checkpoint in {tmp_path / 'last.ckpt'}; the file cannot be read" in message


def test_loggers_and_checkpoints_are_as_asked_for(
    debug_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str, **settings: object) -> set[str]:
        chosen = QUICK | {"run": tmp_path / name} | settings
        main(["fit", f"--config={debug_recipe}", *flags(chosen)])
        return {item.name for item in (tmp_path / name).iterdir()} - {"session.lock"}

    monkeypatch.chdir(tmp_path)
    assert run("none", **{"trainer.logger": False}) == {"last.ckpt", "config.yaml"}
    own = {
        "trainer.logger": "CSVLogger",
        "trainer.logger.save_dir": tmp_path / "elsewhere",
        "trainer.enable_checkpointing": False,
    }
    assert run("own", **own) == {"csv"}
    assert list((tmp_path / "elsewhere").rglob("metrics.csv"))
    assert {item.name for item in tmp_path.iterdir()} == {"none", "own", "elsewhere"}


def test_a_run_has_no_warning_of_its_command_line(debug_recipe: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "dcfst_training.cli", "fit", f"--config={debug_recipe}"]
    settings = flags(QUICK | {"run": tmp_path, "trainer.max_epochs": 0})
    done = subprocess.run([*program, *settings], capture_output=True, text=True, check=True)
    assert "args parameter" not in done.stdout + done.stderr


def test_training_for_a_time_follows_the_schedule_in_that_time(
    debug_recipe: Path, tmp_path: Path
) -> None:
    settings = {"run": tmp_path, "trainer.max_epochs": -1, "trainer.max_time": "00:00:00:08"}
    main(["fit", f"--config={debug_recipe}", *flags(QUICK | settings)])
    checkpoint = read_checkpoint(tmp_path / "last.ckpt")
    assert checkpoint["global_step"] >= 1  # more, unless other work has the machine
    rates = checkpoint["lr_schedulers"][0]["_last_lr"]
    assert 0 <= rates[0] < 2e-4  # of 1e-3, along a cosine to zero
    assert checkpoint["run_settings"]["max_time"] == "8 s"


def test_several_processes_say_how_many_pairs_a_step_has() -> None:
    assert pairs_a_step(48, 1, 1) == ""
    message = pairs_a_step(48, 8, 1)
    assert "a step has 384 pairs: 48 on each of 8 processes" in message
    assert "--data.batch_size 6" in message and "divide --data.pairs_per_epoch by 8" in message


def test_a_gaussian_start_is_gaussian_throughout() -> None:
    torch.manual_seed(0)
    head = DCFSTModule(trunk_weights="random", start="gaussian").net.embedding
    plain = DCFSTNet(Architecture(residual=False)).embedding
    for layer in ("conv1", "conv2", "fc"):
        weight = getattr(head.block4, layer).weight.flatten()
        kurtosis = float((weight / weight.std()).pow(4).mean())
        assert abs(float(weight.mean())) < 0.01 * float(weight.std()), layer
        assert kurtosis == pytest.approx(3.0, abs=0.1), layer
    uniform = plain.block4.conv1.weight.flatten()
    assert float((uniform / uniform.std()).pow(4).mean()) == pytest.approx(1.8, abs=0.1)


def test_a_diverged_score_branch_ends_as_documented(
    debug_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {
        **{"run": tmp_path, "model.score_weight": 1, "model.iou_weight": 0},
        **{"model.head_lr": 1e30, "model.fc_lr": 1e30, "data.pairs_per_epoch": 4},
    }
    message = failure([f"--config={debug_recipe}", *flags(QUICK | settings)], capsys)
    assert re.search(r"the loss is (nan|inf) at step \d \(batch \d of epoch 0\)", message)
    assert "synthetic/" in message and "No checkpoint has been written yet" in message


def test_settings_read_plainly_are_those_of_the_parser(debug_recipe: Path, tmp_path: Path) -> None:
    arguments = [f"--config={debug_recipe}", f"--run={tmp_path}", *flags(QUICK)]
    arguments += ["--data.crop.augmentation.noise", "3.0", "--model.frozen_layers=[conv1]"]
    ours, theirs = read_plainly(arguments), read_settings(arguments)
    assert ours.options == theirs.options
    assert ours.data.crop == theirs.data.crop and ours.data.crop.augmentation.noise == 3.0
    for part in ("model", "data"):
        one, other = (dict(getattr(found, part).hparams) for found in (ours, theirs))
        for name in one:
            assert (
                list(one[name]) == list(other[name])
                if name == "frozen_layers"
                else (one[name] == other[name])
            ), name
    assert isinstance(ours.trainer, Trainer) and ours.trainer.max_epochs == 1


def test_a_setting_that_does_not_exist_is_named_plainly() -> None:
    with pytest.raises(ValueError, match=r"--model\.speed does not"):
        read_plainly(["--model.speed=3"])
    with pytest.raises(ValueError, match=r"expected --part\.name=value .*got --data\.seed"):
        read_plainly(["--data.seed"])
