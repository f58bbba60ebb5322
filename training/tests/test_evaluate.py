"""Success AUC of a run's checkpoints over its steps."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dcfst_core.cli.main import main as dcfst
from dcfst_training.cli import main
from dcfst_training.curves import draw_curves
from dcfst_training.evaluate import find_checkpoints


def lines(run: Path) -> list[dict[str, str]]:
    with (run / "dev_auc.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def run(kept_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept_run, tmp_path / "run"))


def test_checkpoints_are_measured_once_and_drawn(
    run: Path,
    tmp_path: Path,
    write_otb: Callable[..., str],
    small: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = write_otb(tmp_path / "otb", frames=6)
    command = ["evaluate", str(run), "--root", root, "--quiet", *small]
    main([*command, "--frames", "4"])
    first = lines(run)
    assert [(line["step"], line["checkpoint"]) for line in first] == [
        *(("0", "start.ckpt"), ("2", "epoch=1.ckpt"), ("3", "last.ckpt")),
    ]
    assert all(0 <= float(line["auc"]) <= 1 for line in first)
    assert {(line["sequences"], line["frames"]) for line in first} == {("2", "6")}

    # `dcfst eval` finds the same with the same weights.
    start = str(run.parent / "start.safetensors")
    main(["export", str(run / "start.ckpt"), start])
    capsys.readouterr()
    out = ["--out", str(tmp_path / "eval"), "--convention", "strict", "--quiet"]
    assert dcfst(["eval", root, "--weights", start, "--frames", "4", *out, *small]) == 0
    (mean,) = (n for n in capsys.readouterr().out.splitlines() if n.startswith("| mean "))
    assert mean.split("|")[3].strip() == f"{float(first[0]['auc']):.3f}"

    # A second call runs nothing again, and keeps the line of a checkpoint that is gone.
    marks = {path: path.stat().st_mtime_ns for path in run.glob("dev/*/*/*_run.json")}
    (run / "epoch=1.ckpt").unlink()
    main([*command, "--frames", "4"])
    assert lines(run) == first and len(marks) == 6
    assert {path: path.stat().st_mtime_ns for path in marks} == marks

    # Other conditions do not mix with these.
    main([*command, "--frames", "5"])
    assert [line["step"] for line in lines(run)] == ["0", "3"]
    assert "3 of 3 lines were measured with other settings" in capsys.readouterr().out
    draw_curves(run, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_which_checkpoints_are_measured(run: Path) -> None:
    assert list(find_checkpoints(run).values()) == [
        *(run / "start.ckpt", run / "epoch=1.ckpt", run / "last.ckpt"),
    ]
    given = run.parent / "start.safetensors"
    assert find_checkpoints(run, every=2, start=given)[0] == given
    (run / "last.ckpt").rename(run / "epoch=2.ckpt")
    assert list(find_checkpoints(run, every=2)) == [0, 3]  # counted from the newest
    with pytest.raises(FileNotFoundError, match=r"expected checkpoints .* --keep_every_epochs 1"):
        find_checkpoints(run / "dev")
