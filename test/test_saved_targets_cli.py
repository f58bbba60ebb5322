"""`dcfst track --save`, `--find` and `--heatmap`, as a user types them."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import pytest

from dcfst_core.cli.main import main
from dcfst_core.evaluation.synthetic import SyntheticClip

SMALL = [
    *("--set", "patch_size=160", "--set", "grid_size=17", "--set", "box_refinement=false"),
    *("--threads", "1", "--device", "cpu", "--quiet"),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder of drawn frames, and the target's box in the first of them."""
    folder = tmp_path_factory.mktemp("clip")
    made = SyntheticClip(10, (200, 160), (40, 36), seed=4, period=60)
    for index, frame in enumerate(made):
        cv2.imwrite(str(folder / f"{index:03d}.png"), frame[..., ::-1])
    return folder, ",".join(f"{value:.1f}" for value in made.boxes_xywh()[0])


def test_a_saved_target_is_looked_for_in_another_video(
    clip: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, box = clip
    saved, rows = tmp_path / "cup.target", tmp_path / "found.csv"
    first = ["track", str(folder), "--init", box, "--id", "cup", "--csv", str(tmp_path / "a.csv")]
    assert main([*first, "--save", str(saved), *SMALL]) == 0
    assert f"saved 'cup' as {saved}" in capsys.readouterr().err
    assert 100_000 < saved.stat().st_size < 5e6
    find = ["track", str(folder), "--find", f"{saved}+{saved}", "--csv", str(rows)]
    assert main([*find, *SMALL]) == 0
    with rows.open() as file:
        found = list(csv.DictReader(file))
    assert len(found) == 10 and {row["target"] for row in found} == {"cup"}
    assert found[0]["state"] in ("lost", "tracking")


def test_one_file_for_each_of_several_targets(
    clip: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, box = clip
    two = ["--init", box, "--id", "a", "--init", "10,10,30,30", "--id", "../b"]
    command = ["track", str(folder), *two, "--csv", str(tmp_path / "t.csv"), "--max-frames", "2"]
    assert main([*command, "--save", str(tmp_path / "t.target"), *SMALL]) == 0
    assert sorted(path.name for path in tmp_path.glob("*.target")) == [
        "t..._b.target",
        "t.a.target",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --init x,y,w,h or --find FILE"),
        (["--find", "nowhere.target"], "expected a saved target at nowhere.target"),
    ],
)
def test_what_is_missing_is_said(
    clip: tuple[Path, str],
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["track", str(clip[0]), *arguments, *SMALL]) == 1
    assert message in capsys.readouterr().err


def test_heatmaps_show_every_frame(clip: tuple[Path, str], tmp_path: Path) -> None:
    folder, box = clip
    command = ["track", str(folder), "--init", box, "--heatmap", str(tmp_path / "heat")]
    assert main([*command, "--max-frames", "3", *SMALL]) == 0
    files = sorted(path.name for path in (tmp_path / "heat").iterdir())
    assert files == ["000000.png", "000001.png", "000002.png"]
    plain, drawn = (
        cv2.imread(str(path)) for path in (folder / "002.png", tmp_path / "heat" / files[2])
    )
    assert plain.shape == drawn.shape and (plain != drawn).mean() > 0.02
