"""Curves over all sessions of a run, and pictures of pairs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dcfst_training.cli import main
from dcfst_training.curves import draw_curves, read_curves
from dcfst_training.data import PairDataModule
from dcfst_training.datasets import MovingTargets
from dcfst_training.module import DCFSTModule
from dcfst_training.pair_pictures import draw_pairs


def session(run: Path, number: int, rows: list[str]) -> None:
    folder = run / "csv" / f"version_{number}"
    folder.mkdir(parents=True)
    header = "epoch,step,train/loss,val/loss,lr-Adam/iou\n"
    (folder / "metrics.csv").write_text(header + "\n".join(rows))


def test_a_later_session_replaces_what_the_killed_one_did_after_its_checkpoint(
    tmp_path: Path,
) -> None:
    session(tmp_path, 2, ["0,20,0.2,,"])
    session(
        tmp_path, 0, ["0,0,1.0,,", "0,5,0.9,,", ",5,,,1e-3", "0,10,0.8,,", "0,15,nan,,", "0,1"]
    )
    session(tmp_path, 1, ["0,7,0.7,0.75,", "0,12,0.6,,"])
    curves = read_curves(tmp_path)
    assert curves["train/loss"] == {0: 1.0, 5: 0.9, 7: 0.7, 12: 0.6, 20: 0.2}
    assert curves["val/loss"] == {7: 0.75}
    assert curves["lr-Adam/iou"] == {5: 1e-3}


def test_curves_are_drawn(tmp_path: Path) -> None:
    session(tmp_path, 0, [f"0,{step},{1 / (step + 1)},,1e-3" for step in range(40)])
    draw_curves(tmp_path, tmp_path / "without.png")
    (tmp_path / "dev_auc.csv").write_text("step,auc\n0,0.4\n30,0.5\n")
    draw_curves(tmp_path, tmp_path / "with.png")
    images = [cv2.imread(str(tmp_path / f"{name}.png")) for name in ("without", "with")]
    assert images[0].std() > 10 and images[1].shape[1] > images[0].shape[1]


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected the curves of a run in .*metrics\.csv"):
        read_curves(tmp_path)


def test_pairs_are_drawn_where_their_boxes_are(tmp_path: Path) -> None:
    module = DCFSTModule(trunk_weights="random", start="gaussian", train_grid=9)
    data = PairDataModule(synthetic=12, batch_size=1, workers=0)
    example = data.examples(1, held_out=True)[0]
    draw_pairs(module, {name: value[None] for name, value in example.items()}, tmp_path / "p.png")
    picture = cv2.imread(str(tmp_path / "p.png"))
    assert picture.shape[0] > 300 and picture.shape[1] > 1500
    green = (picture[..., 1] > 240) & (picture[..., 0] < 30) & (picture[..., 2] < 30)
    columns = np.flatnonzero(green.any(axis=0))
    fifth = picture.shape[1] // 5
    # One true box in the train crop, one in the test crop, none elsewhere.
    assert set(columns // fifth) == {0, 2}


def test_sets_that_are_held_out_whole_have_curves_of_their_own(
    debug_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two sets of videos: one is trained on, both are measured, and neither on the other's."""
    for name, first in (("one", 0), ("two", 8)):
        for number in range(first, first + 8):
            clip = MovingTargets(16).clip(number)
            folder = tmp_path / "videos" / name / f"v{number}"
            (folder / "img").mkdir(parents=True)
            for frame in range(2):
                cv2.imwrite(str(folder / "img" / f"{frame}.png"), clip.read(frame)[..., ::-1])
            np.savetxt(folder / "groundtruth_rect.txt", clip.boxes_xywh[:2], delimiter=",")
    settings = {
        **{
            "run": tmp_path / "run",
            "data.synthetic": 0,
            "data.video_folders": tmp_path / "videos",
        },
        **{"data.holdout_sets": "[two]", "data.holdout_every": 3, "data.validation_pairs": 2},
        **{"data.batch_size": 2, "data.pairs_per_epoch": 2, "trainer.max_epochs": 1},
        **{"model.score_weight": 0, "model.start": "gaussian", "data.crop.fit_crops": 2},
        **{"trainer.enable_progress_bar": False, "trainer.enable_model_summary": False},
    }
    main(["fit", f"--config={debug_recipe}", *[f"--{k}={v}" for k, v in settings.items()]])
    curves = read_curves(tmp_path / "run")
    for kind in ("val", "val_sets"):
        for name in ("iou_error", "fitted_iou_error"):
            assert 0 in curves[f"{kind}/{name}"], (kind, name)
    assert curves["val/iou_error"] != curves["val_sets/iou_error"]
    draw_curves(tmp_path / "run", tmp_path / "curves.png")
    main(["compare", str(tmp_path / "run")])
    assert "sets/fitted_iou_error" in capsys.readouterr().out


def test_runs_are_compared_by_the_same_yardsticks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = "epoch,step,val/shrinkage,val/squared,val/loss\n"
    for run, last in (("a", 0.2), ("b", 0.3)):
        folder = tmp_path / run / "csv" / "version_0"
        folder.mkdir(parents=True)
        rows = f"0,0,0.5,0.6,9\n0,9,{last},0.4,9\n"
        # One of them has gone on further, which does not count.
        (folder / "metrics.csv").write_text(header + rows + "1,19,0.1,0.1,9\n" * (run == "b"))
    (tmp_path / "b" / "dev_auc.csv").write_text("step,auc\n0,0.61\n10,0.65\n")
    picture = tmp_path / "images" / "c.png"
    main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--plot", str(picture)])
    lines = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line] for line in lines if line]
    assert cells[0] == ["run", "shrinkage", "squared", "auc"]
    assert cells.pop(2) == ["steps", "0 -> 10", "0 -> 10", "0 -> 10"]
    assert cells[2] == ["a", "0.5000 -> 0.2000", "0.6000 -> 0.4000", "-"]
    assert cells[3] == ["b", "0.5000 -> 0.3000", "0.6000 -> 0.4000", "0.6100 -> 0.6500"]
    assert cv2.imread(str(picture)).shape[1] > 1200
