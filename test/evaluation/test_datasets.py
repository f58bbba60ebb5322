"""Every published layout, each from a small tree built here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dcfst_core.evaluation.datasets import load_sequences
from dcfst_core.evaluation.sequences import DatasetError

DEV = Path(__file__).resolve().parents[3] / "shared" / "data" / "dev"


def images(folder: Path, count: int, digits: int = 4, first: int = 1) -> None:
    folder.mkdir(parents=True)
    for i in range(first, first + count):
        cv2.imwrite(str(folder / f"{i:0{digits}d}.jpg"), np.full((8, 8, 3), i % 255, np.uint8))


def write(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("separator", [",", "\t", " ", ", ", ";"])
def test_otb_boxes_are_one_based_with_any_separator(tmp_path: Path, separator: str) -> None:
    images(tmp_path / "Deer" / "img", 3)
    rows = [[11, 21, 30, 40], [12, 22, 30, 40], [13.5, 23, 30, 40]]
    lines = [separator.join(map(str, row)) for row in rows]
    write(tmp_path / "Deer" / "groundtruth_rect.txt", lines)
    (sequence,) = load_sequences(tmp_path, "otb")
    assert sequence.name == "Deer" and sequence.group == ""
    assert [p.name for p in sequence.frames] == ["0001.jpg", "0002.jpg", "0003.jpg"]
    assert sequence.init_box_xywh == (10, 20, 30, 40)
    assert sequence.truth_xywh[2].tolist() == [12.5, 22, 30, 40]


def test_otb_sets_two_targets_and_attributes(tmp_path: Path) -> None:
    images(tmp_path / "OTB" / "Jogging" / "img", 2)
    for target in (1, 2):
        lines = [f"{target}1,1,5,5"] * 2
        write(tmp_path / "OTB" / "Jogging" / f"groundtruth_rect.{target}.txt", lines)
    images(tmp_path / "OTB" / "Human4" / "img", 2)
    write(tmp_path / "OTB" / "Human4" / "groundtruth_rect.2.txt", ["1,1,5,5"] * 2)
    (tmp_path / "OTB" / "Human4" / "groundtruth_rect.1.txt").write_text("")  # as published
    write(tmp_path / "anno" / "att" / "Jogging.txt", ["0,0,0,1,1,0,0,0,0,0,0"])
    sequences = load_sequences(tmp_path, "otb")
    assert [s.name for s in sequences] == ["Human4-2", "Jogging-1", "Jogging-2"]
    assert sequences[2].init_box_xywh[0] == 20
    assert sequences[1].attributes == ("OCC", "DEF") and sequences[0].attributes == ()
    assert sequences[1].group == "OTB"


def test_otb_david_begins_with_frame_300(tmp_path: Path) -> None:
    images(tmp_path / "David" / "img", 310)
    write(tmp_path / "David" / "groundtruth_rect.txt", ["5,5,5,5"] * 8)
    images(tmp_path / "Football1" / "img", 9)
    write(tmp_path / "Football1" / "groundtruth_rect.txt", ["5,5,5,5"] * 8)
    david, football = load_sequences(tmp_path, "otb")
    assert (david.frames[0].name, david.frames[-1].name) == ("0300.jpg", "0307.jpg")
    assert (football.frames[0].name, football.frames[-1].name) == ("0001.jpg", "0008.jpg")


def test_got10k(tmp_path: Path) -> None:
    val, test = tmp_path / "val" / "GOT-10k_Val_000001", tmp_path / "test" / "GOT-10k_Test_000001"
    images(val, 3, digits=8)
    write(val / "groundtruth.txt", ["1.0,2.0,3.0,4.0"] * 3)
    write(val / "absence.label", ["0", "1", "0"])
    images(test, 3, digits=8)
    write(test / "groundtruth.txt", ["1.0,2.0,3.0,4.0"])
    hidden, scored = load_sequences(tmp_path, "got10k")
    assert scored.init_box_xywh == (1, 2, 3, 4) and scored.group == "val"
    assert np.isnan(scored.truth_xywh).all(axis=1).tolist() == [False, True, False]
    assert len(hidden.frames) == 3 and not hidden.has_truth and scored.has_truth


def test_lasot(tmp_path: Path) -> None:
    for name in ("airplane-1", "airplane-2"):
        folder = tmp_path / "airplane" / name
        images(folder / "img", 3, digits=8)
        write(folder / "groundtruth.txt", ["11,21,30,40"] * 3)
        write(folder / "full_occlusion.txt", ["0,0,1"])
        write(folder / "out_of_view.txt", ["0,1,0"])
    assert len(load_sequences(tmp_path, "lasot")) == 2
    write(tmp_path / "testing_set.txt", ["airplane-2"])
    write(tmp_path / "att" / "airplane-2.txt", ["0,1,0,0,0,0,0,0,0,0,0,0,0,1"])
    (sequence,) = load_sequences(tmp_path, "lasot")
    assert (sequence.name, sequence.group) == ("airplane-2", "airplane")
    assert sequence.init_box_xywh == (10, 20, 30, 40)
    assert np.isnan(sequence.truth_xywh[:, 0]).tolist() == [False, True, True]
    assert sequence.attributes == ("POC", "ARC")


def test_nfs_takes_every_eighth_box_and_knows_lost(tmp_path: Path) -> None:
    images(tmp_path / "ball" / "30" / "ball", 3, digits=5)
    lines = [f'0 {i} 10 {i + 20} 40 {i} {int(i == 8)} 0 0 "ball"' for i in range(24)]
    write(tmp_path / "ball" / "30" / "ball.txt", lines)
    (sequence,) = load_sequences(tmp_path, "nfs")
    assert sequence.init_box_xywh == (0, 10, 20, 30)
    assert np.isnan(sequence.truth_xywh[1]).all()
    assert sequence.truth_xywh[2].tolist() == [16, 10, 20, 30]


def test_uav123_takes_ranges_from_the_published_configuration(tmp_path: Path) -> None:
    images(tmp_path / "data_seq" / "UAV123" / "car1", 10, digits=6)
    write(tmp_path / "anno" / "UAV123" / "car1_2.txt", ["11,21,30,40", "NaN,NaN,NaN,NaN"])
    write(tmp_path / "anno" / "UAV123" / "att" / "car1_2.txt", ["1,0,0,0,0,0,0,0,0,0,0,1"])
    with pytest.raises(DatasetError, match="expected a folder of images"):
        load_sequences(tmp_path, "uav123")
    write(
        tmp_path / "configSeqs.m",
        [
            "seqUAV123={struct('name','car1_2','path','F:\\UAV123\\data_seq\\UAV123\\car1\\',"
            "'startFrame',4,'endFrame',5,'nz',6,'ext','jpg','init_rect',[0 0 0 0])};"
        ],
    )
    (sequence,) = load_sequences(tmp_path, "uav123")
    assert [p.name for p in sequence.frames] == ["000004.jpg", "000005.jpg"]
    assert sequence.init_box_xywh == (10, 20, 30, 40) and np.isnan(sequence.truth_xywh[1]).all()
    assert sequence.attributes == ("SV", "SOB")


def test_trackingnet(tmp_path: Path) -> None:
    images(tmp_path / "TEST" / "frames" / "abc_0", 11, digits=1, first=0)
    write(tmp_path / "TEST" / "anno" / "abc_0.txt", ["1,2,3,4"])
    (sequence,) = load_sequences(tmp_path, "trackingnet")
    assert [p.stem for p in sequence.frames] == [str(i) for i in range(11)]
    assert sequence.group == "TEST" and not sequence.has_truth


def test_vot_rectangles_polygons_masks_and_tags(tmp_path: Path) -> None:
    images(tmp_path / "ball1" / "color", 5, digits=8)
    regions = ["10,20,30,40", "10,20,40,20,40,60,10,60", "m5,6,4,3,5,2,2,2,1", "0,0,0,0", "0"]
    write(tmp_path / "ball1" / "groundtruth.txt", regions)
    write(tmp_path / "ball1" / "occlusion.tag", ["0", "0", "1", "0", "0"])
    write(tmp_path / "ball1" / "camera_motion.tag", ["0"] * 5)
    images(tmp_path / "other", 1, digits=8)
    write(tmp_path / "other" / "groundtruth.txt", ["1,2,3,4"])
    write(tmp_path / "list.txt", ["ball1"])
    (sequence,) = load_sequences(tmp_path, "vot")
    assert sequence.truth_xywh[0].tolist() == [10, 20, 30, 40]
    assert sequence.truth_xywh[1].tolist() == [10, 20, 30, 40]
    # Of 4 x 3 pixels at (5, 6) the middle two of rows 1 and 2 are set.
    assert sequence.truth_xywh[2].tolist() == [6, 7, 2, 2]
    assert np.isnan(sequence.truth_xywh[3:]).all()
    assert sequence.attributes == ("occlusion",)


def test_choosing_and_naming_sequences(tmp_path: Path) -> None:
    for group in ("A", "B"):
        images(tmp_path / group / "car" / "img", 1)
        write(tmp_path / group / "car" / "groundtruth_rect.txt", ["1,1,5,5"])
    assert [s.name for s in load_sequences(tmp_path)] == ["A-car", "B-car"]
    assert [s.name for s in load_sequences(tmp_path, only=["B-car"])] == ["B-car"]
    with pytest.raises(DatasetError, match=r"no sequence named bus .* there are A-car, B-car"):
        load_sequences(tmp_path, only=["bus"])


def test_what_is_wrong_with_a_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there is none at .*nowhere"):
        load_sequences(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"found no sequences in .* expected OTB2013/2015"):
        load_sequences(tmp_path)
    with pytest.raises(DatasetError, match=r"format out of otb, got10k.* got 'coco'"):
        load_sequences(tmp_path, "coco")
    truth = tmp_path / "x" / "groundtruth_rect.txt"
    write(truth, ["1,1,5,5", "1,1,5"])
    with pytest.raises(DatasetError, match=r"4 numbers x, y, w, h; got \[1.0, 1.0, 5.0\]"):
        load_sequences(tmp_path)
    write(truth, ["1,1,5,5", "a,b,c,d"])
    with pytest.raises(DatasetError, match=r"line 2: expected numbers .* got 'a,b,c,d'"):
        load_sequences(tmp_path)
    write(truth, ["1,1,5,5"] * 4)
    with pytest.raises(DatasetError, match="expected a folder of images"):
        load_sequences(tmp_path)
    images(tmp_path / "x" / "img", 2)
    with pytest.raises(DatasetError, match="x: expected one true box a frame; got 2 images and 4"):
        load_sequences(tmp_path)
    write(truth, ["NaN,NaN,NaN,NaN", "1,1,5,5"])
    with pytest.raises(DatasetError, match="positive size in the first frame"):
        load_sequences(tmp_path)


@pytest.mark.skipif(not DEV.is_dir(), reason=f"no development sequences at {DEV}")
def test_the_development_sequences_load() -> None:
    sequences = load_sequences(DEV, "otb")
    assert len(sequences) == 15
    assert sum(s.group == "OTB" for s in sequences) == 11
    assert sum(len(s.frames) for s in sequences) == 1782
    assert all(s.has_truth for s in sequences)
