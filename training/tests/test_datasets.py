"""Each data set on a tiny tree in its published layout, with its quirks and with mistakes."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dcfst_training.datasets import (
    COCO,
    DatasetLayoutError,
    GOT10k,
    LaSOT,
    MaskVideos,
    TrackingNet,
)
from dcfst_training.datasets.images import UnreadableFrameError
from dcfst_training.mixture import Sources, weigh
from dcfst_training.pair_sampling import PairSampler

BOXES = np.array([[10.0, 12, 20, 16], [12, 12, 20, 16], [14, 12, 20, 16], [16, 12, 20, 16]])


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def frames(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((60, 80, 3), 40 * number, np.uint8))


def lines(boxes: np.ndarray) -> str:
    return "".join(",".join(f"{value:.4f}" for value in box) + "\n" for box in boxes)


def got10k(root: Path, names: tuple[str, ...] = ("GOT-10k_Train_000001",)) -> None:
    for name in names:
        folder = root / "train" / name
        frames(folder, [f"{number:08d}.jpg" for number in range(1, 5)])
        write(folder / "groundtruth.txt", lines(BOXES))
        write(folder / "absence.label", "0\n1\n0\n0\n")
        write(folder / "cover.label", "8\n8\n0\n3\n")
        write(folder / "meta_info.ini", "[METAINFO]\n")
    write(root / "train" / "list.txt", "".join(f"{name}\n" for name in names))


def lasot(root: Path, names: tuple[str, ...] = ("cat-1", "cat-2", "dog-10")) -> None:
    for name in names:
        folder = root / name.split("-")[0] / name
        frames(folder / "img", [f"{number:08d}.jpg" for number in range(1, 5)])
        write(folder / "groundtruth.txt", lines(BOXES).replace(".0000", ""))
        write(folder / "full_occlusion.txt", "0,0,1,0")
        write(folder / "out_of_view.txt", "0,0,0,1")
        write(folder / "nlp.txt", "a cat")


def trackingnet(root: Path, sets: range = range(12)) -> None:
    for number in sets:
        folder = root / f"TRAIN_{number}"
        video = f"video{number}_0"
        frames(folder / "frames" / video, [f"{index}.jpg" for index in range(4)])
        write(folder / "anno" / f"{video}.txt", lines(BOXES))


def coco(root: Path) -> None:
    frames(root / "train2017", ["000000000009.jpg", "000000000025.jpg"])
    images = [
        {"id": 9, "file_name": "000000000009.jpg", "width": 80, "height": 60},
        {"id": 25, "file_name": "000000000025.jpg", "width": 80, "height": 60},
    ]
    things = [
        {"id": 1, "image_id": 25, "bbox": [1.5, 2.0, 30.0, 20.0], "iscrowd": 0, "category_id": 3},
        {"id": 2, "image_id": 25, "bbox": [1.0, 2.0, 30.0, 20.0], "iscrowd": 1, "category_id": 3},
        {"id": 3, "image_id": 9, "bbox": [1.0, 2.0, 3.0, 20.0], "iscrowd": 0, "category_id": 3},
        {"id": 4, "image_id": 9, "bbox": [1.0, 2.0, 70.0, 55.0], "iscrowd": 0, "category_id": 3},
    ]
    content = {"images": images, "annotations": things, "categories": [{"id": 3, "name": "car"}]}
    write(root / "annotations" / "instances_train2017.json", json.dumps(content))


def davis(root: Path) -> None:
    frames(root / "JPEGImages" / "480p" / "bear", [f"{number:05d}.jpg" for number in range(3)])
    folder = root / "Annotations" / "480p" / "bear"
    folder.mkdir(parents=True)
    for number in range(3):
        mask = np.zeros((60, 80), np.uint8)
        mask[10:30, 5 + number : 25 + number] = 1
        if number < 2:
            mask[40:50, 60:75] = 2
        mask[0, :] = 255  # void
        image = Image.fromarray(mask, mode="P")
        image.putpalette([value for index in range(256) for value in (index, 0, 255 - index)])
        image.save(folder / f"{number:05d}.png")


def test_got10k(tmp_path: Path) -> None:
    got10k(tmp_path, ("GOT-10k_Train_000002", "GOT-10k_Train_000001"))
    for root in (tmp_path, tmp_path / "train"):
        clips = GOT10k(root)
        assert len(clips) == 2
        clip = clips.clip(0)
        assert clip.name == "got10k/GOT-10k_Train_000002"  # list.txt's order
        assert clip.visible.tolist() == [True, False, False, True]  # absent, covered
        assert np.array_equal(clip.boxes_xywh[3], BOXES[3])
        assert abs(int(clip.read(3).mean()) - 120) < 2


def test_got10k_that_is_incomplete_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    got10k(tmp_path)
    (tmp_path / "train" / "list.txt").write_text("GOT-10k_Train_000001\nGOT-10k_Train_000009\n")
    assert len(GOT10k(tmp_path)) == 1
    assert "1 of the 2 sequences" in caplog.text and "GOT-10k_Train_000009" in caplog.text


def test_lasot_counts_from_one_and_leaves_out_its_test_set(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lasot(tmp_path)
    assert [path.name for path in LaSOT(tmp_path).entries] == ["cat-1", "cat-2", "dog-10"]
    assert "also LaSOT's test sequences" in caplog.text
    write(tmp_path / "testing_set.txt", "cat-1\n")
    clips = LaSOT(tmp_path)
    assert [clips.clip(index).name for index in range(2)] == ["lasot/cat-2", "lasot/dog-10"]
    clip = clips.clip(0)
    assert clip.visible.tolist() == [True, True, False, False]
    assert np.array_equal(clip.boxes_xywh[0], BOXES[0] - [1, 1, 0, 0])
    assert clip.read(1).shape == (60, 80, 3)
    write(tmp_path / "training_set.txt", "dog-10\n")
    assert len(LaSOT(tmp_path)) == 1
    assert len(LaSOT(tmp_path / "cat")) == 2  # a single class's archive


def test_missing_lasot_classes_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lasot(tmp_path)
    write(tmp_path / "training_set.txt", "cat-1\ncat-2\nbear-3\nzebra-9\nbear-4\n")
    assert len(LaSOT(tmp_path)) == 2
    assert "3 of the 5 sequences" in caplog.text and "classes: bear, zebra" in caplog.text


def test_trackingnet_has_twelve_sets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trackingnet(tmp_path)
    clips = TrackingNet(tmp_path)
    assert len(clips) == 12 and not caplog.text
    clip = clips.clip(11)
    assert clip.name == "trackingnet/TRAIN_11/video11_0"
    assert clip.frames[0].name == "0.jpg" and clip.visible.all()
    assert int(clip.read(2).mean()) == 80
    assert [entry[0].name for entry in TrackingNet(tmp_path, [2, 5]).entries] == [
        "TRAIN_2",
        "TRAIN_5",
    ]


def test_trackingnet_in_part(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trackingnet(tmp_path, range(2))
    write(tmp_path / "TRAIN_1" / "anno" / "packed_0.txt", lines(BOXES))
    assert len(TrackingNet(tmp_path)) == 2
    assert "lacks TRAIN_2, TRAIN_3" in caplog.text
    assert "1 of the 2 videos" in caplog.text and "packed_0" in caplog.text
    with pytest.raises(DatasetLayoutError, match=r"anno/ and frames/ in each of TRAIN_7 in "):
        TrackingNet(tmp_path, [0, 7])


def test_coco_objects_are_clips_of_one_frame(tmp_path: Path) -> None:
    coco(tmp_path)
    clips = COCO(tmp_path)
    assert len(clips) == 1  # neither the crowd nor what is too thin or too large
    clip = clips.clip(0)
    assert clip.name == "coco/000000000025#1"
    assert clip.boxes_xywh.tolist() == [[1.5, 2.0, 30.0, 20.0]]
    assert int(clip.read(0).mean()) == 40
    pair = PairSampler([clips], [1.0], 100).draw(np.random.default_rng(0))
    assert pair.is_still


def test_coco_without_what_it_needs(tmp_path: Path) -> None:
    coco(tmp_path)
    with pytest.raises(DatasetLayoutError, match=r"annotations/instances_val2017\.json"):
        COCO(tmp_path, "val2017")
    (tmp_path / "annotations" / "instances_train2017.json").write_text('{"images": [')
    with pytest.raises(DatasetLayoutError, match="COCO's instances"):
        COCO(tmp_path)


def test_masks_become_boxes_of_each_object(tmp_path: Path) -> None:
    davis(tmp_path)
    clips = MaskVideos(tmp_path)
    assert [clip.name for clip in clips.clips] == ["masks/bear#1", "masks/bear#2"]
    assert clips.clip(0).boxes_xywh[2].tolist() == [7, 10, 20, 20]
    assert clips.clip(1).visible.tolist() == [True, True, False]
    assert clips.clip(0).read(1).shape == (60, 80, 3)
    kept = tmp_path / "dcfst_boxes.json"
    assert "bear/00002" in json.loads(kept.read_text())
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"")  # with the boxes kept, no mask is decoded again
    assert MaskVideos(tmp_path).clip(0).boxes_xywh[2].tolist() == [7, 10, 20, 20]
    kept.write_text(kept.read_text()[:-9])
    with pytest.raises(DatasetLayoutError, match=r"expected a mask image in .*00000\.png"):
        MaskVideos(tmp_path)


def test_a_grey_mask_is_one_object(tmp_path: Path) -> None:
    mask = np.zeros((40, 50), np.uint8)
    mask[5:15, 10:30] = 255
    (tmp_path / "Annotations" / "v").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "Annotations" / "v" / "0001.png"), mask)
    frames(tmp_path / "JPEGImages" / "v", ["0001.jpg"])
    assert MaskVideos(tmp_path).clip(0).boxes_xywh.tolist() == [[10, 5, 20, 10]]


@pytest.mark.parametrize(
    "flag, make, expected",
    [
        ("got10k", lasot, "It looks like LaSOT: use --data.lasot"),
        ("lasot", got10k, "It looks like GOT-10k: use --data.got10k"),
        ("trackingnet", coco, "It looks like COCO: use --data.coco"),
        ("coco", davis, "It looks like masks as in DAVIS: use --data.masks"),
        ("masks", trackingnet, "It looks like TrackingNet: use --data.trackingnet"),
    ],
)
def test_another_data_sets_folder_is_recognised(
    tmp_path: Path, flag: str, make: object, expected: str
) -> None:
    make(tmp_path)
    with pytest.raises(DatasetLayoutError) as caught:
        Sources(**{flag: str(tmp_path)}).open()
    message = str(caught.value)
    assert message.startswith(f"--data.{flag}: expected ")
    assert str(tmp_path) in message and message.endswith(expected)


@pytest.mark.parametrize("flag", ["got10k", "lasot", "trackingnet", "coco", "masks"])
def test_a_folder_that_is_missing_or_empty_is_named(tmp_path: Path, flag: str) -> None:
    with pytest.raises(DatasetLayoutError, match=r"found nothing"):
        Sources(**{flag: str(tmp_path)}).open()
    with pytest.raises(DatasetLayoutError, match=r"expected a folder at .*nowhere; there is none"):
        Sources(**{flag: str(tmp_path / "nowhere")}).open()


def test_a_level_too_high_is_noticed(tmp_path: Path) -> None:
    lasot(tmp_path / "LaSOTBenchmark")
    with pytest.raises(DatasetLayoutError, match=r"LaSOTBenchmark looks right: use that folder"):
        LaSOT(tmp_path)


def test_frames_that_were_not_unpacked_are_noticed_at_the_start(tmp_path: Path) -> None:
    got10k(tmp_path)
    for path in tmp_path.rglob("*.jpg"):
        path.unlink()
    with pytest.raises(DatasetLayoutError, match=r"expected the first frame .*00000001\.jpg"):
        GOT10k(tmp_path)


def test_a_damaged_annotation_is_skipped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    got10k(tmp_path, ("GOT-10k_Train_000001", "GOT-10k_Train_000002"))
    (tmp_path / "train" / "GOT-10k_Train_000002" / "cover.label").write_text("8\n8\n")
    clips = GOT10k(tmp_path)
    with pytest.raises(UnreadableFrameError, match=r"cover\.label: expected 4 flags; got 2"):
        clips.clip(1)
    caplog.set_level(logging.WARNING)
    sampler, rng = PairSampler([clips], [1.0], 100), np.random.default_rng(0)
    assert {sampler.draw(rng).clip.name for _ in range(10)} == {"got10k/GOT-10k_Train_000001"}
    assert caplog.text.count("skipped a clip of got10k") == 1 and "cover.label" in caplog.text


def test_sets_are_weighted_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    got10k(tmp_path / "got")
    coco(tmp_path / "coco")
    sources = Sources(got10k=str(tmp_path / "got"), coco=str(tmp_path / "coco"), synthetic=3)
    opened = sources.open()
    weights = weigh(opened, {"got10k": 2.0, "synthetic": 0.0, "lassot": 1.0})
    named = {source.clips.name: weight for source, weight in zip(opened, weights, strict=True)}
    assert named == {"got10k": 2.0, "coco": 1.0, "synthetic": 0.0}
    assert "no data set is called lassot" in caplog.text
