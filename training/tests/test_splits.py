"""What is held out is never trained on: for every source, by image, by video and by whole set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dcfst_training.data import PairDataModule
from dcfst_training.errors import SettingsError
from dcfst_training.mixture import Sources
from dcfst_training.pack import PackOptions, pack
from dcfst_training.pair_sampling import PairSampler
from dcfst_training.splits import Split

COUNT = 24  # images or videos of each source
BOX = "4,4,20,20\n"


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    cv2.imwrite(str(path), image)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def got10k(root: Path) -> None:
    for number in range(COUNT):
        folder = root / "train" / f"GOT-10k_Train_{number:06d}"
        picture(folder / "00000001.jpg", number)
        write(folder / "groundtruth.txt", BOX)
        write(folder / "absence.label", "0\n")


def lasot(root: Path) -> None:
    for number in range(COUNT):
        folder = root / "cat" / f"cat-{number}"
        picture(folder / "img" / "00000001.jpg", number)
        write(folder / "groundtruth.txt", BOX)
        for flags in ("full_occlusion", "out_of_view"):
            write(folder / f"{flags}.txt", "0")


def trackingnet(root: Path) -> None:
    for number in range(COUNT):
        picture(root / "TRAIN_0" / "frames" / f"v{number}_0" / "0.jpg", number)
        write(root / "TRAIN_0" / "anno" / f"v{number}_0.txt", BOX)


def coco(root: Path) -> None:
    """Two objects in each image."""
    images, things = [], []
    for number in range(COUNT):
        picture(root / "train2017" / f"{number:012d}.jpg", number)
        images.append({"id": number, "file_name": f"{number:012d}.jpg", "width": 60, "height": 40})
        for left in (2, 30):
            things.append({"id": len(things), "image_id": number, "bbox": [left, 4, 20, 20]})
    content = {"images": images, "annotations": things, "categories": []}
    write(root / "annotations" / "instances_train2017.json", json.dumps(content))


def masks(root: Path) -> None:
    """Two objects in each video."""
    for number in range(COUNT):
        picture(root / "JPEGImages" / f"v{number}" / "00000.jpg", number)
        mask = np.zeros((40, 60), np.uint8)
        mask[4:24, 2:22], mask[4:24, 30:50] = 1, 2
        image = Image.fromarray(mask).convert("P")
        path = root / "Annotations" / f"v{number}" / "00000.png"
        path.parent.mkdir(parents=True)
        image.putpalette([value for index in range(256) for value in (index, 0, 0)])
        Image.fromarray(mask, mode="P").save(path)


def video_folders(root: Path) -> None:
    """Two sequences of each video, in two sets: the same frames under another name."""
    for number in range(COUNT):
        for part in ("near", "far"):
            folder = root / part / f"{part}{number}"
            picture(folder / "img" / "0001.png", number)
            write(folder / "groundtruth_rect.txt", BOX)


def still_folders(root: Path, first: int = 0) -> None:
    """Two objects in each image."""
    images = []
    for number in range(COUNT):
        picture(root / "things" / "images" / f"{number}.png", first + number)
        objects = [{"label": "x", "box": [left, 4, 20, 20]} for left in (2, 30)]
        images.append({"file": f"{number}.png", "width": 60, "height": 40, "objects": objects})
    write(root / "things" / "boxes.json", json.dumps(images))


def shards(root: Path) -> None:
    coco(root.parent / "packed")
    sources = Sources(coco=str(root.parent / "packed")).open()
    pack(sources, root, PackOptions(shard_mb=0.05))


def drawn(sampler: PairSampler, pairs: int = 300) -> tuple[set[str], set[bytes]]:
    """The clips that a sampler draws, and the contents of the frames they show."""
    rng = np.random.default_rng(0)
    clips = [sampler.draw(rng).clip for _ in range(pairs)]
    return {clip.name for clip in clips}, {clip.read(0).tobytes() for clip in clips}


SOURCES = [got10k, lasot, trackingnet, coco, masks, video_folders, still_folders, shards]


@pytest.mark.parametrize("make", SOURCES, ids=lambda make: make.__name__)
def test_no_held_out_image_or_clip_is_drawn_for_training(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "data")
    chosen = {make.__name__: str(tmp_path / "data")}
    data = PairDataModule(**chosen, holdout_every=4)
    data.setup("fit")
    trained, held = drawn(data._sampler("train")), drawn(data._sampler("held_out"))
    for kind in range(2):
        assert trained[kind] and held[kind] and not trained[kind] & held[kind]
    if make is not shards:  # there each object has a crop of its own
        assert len(trained[1]) + len(held[1]) == COUNT
        assert 1 <= len(held[1]) <= 12


def test_drawn_clips_are_split_too() -> None:
    data = PairDataModule(synthetic=40, holdout_every=5)
    data.setup("fit")
    trained, held = drawn(data._sampler("train"))[0], drawn(data._sampler("held_out"))[0]
    assert trained and held and not trained & held and len(trained | held) == 40


def test_whole_sets_are_held_out_with_what_others_share_with_them(tmp_path: Path) -> None:
    video_folders(tmp_path / "videos")  # both sets show the same videos
    still_folders(tmp_path / "stills", first=12)  # half of them are frames of the videos
    data = PairDataModule(
        video_folders=str(tmp_path / "videos"),
        still_folders=str(tmp_path / "stills"),
        holdout_sets=["near"],
        holdout_every=4,
    )
    data.setup("fit")
    trained, held = drawn(data._sampler("train")), drawn(data._sampler("held_out_sets"))
    assert {name.split("/")[0] for name in held[0]} == {"near"}
    assert trained[1] and not trained[1] & held[1]
    assert {name.split("/")[0] for name in trained[0]} == {"things"}


def test_a_held_out_set_that_is_not_there_is_named() -> None:
    data = PairDataModule(synthetic=40, holdout_sets=["synthetic", "Nowhere"])
    with pytest.raises(SettingsError, match=r"which are synthetic; got Nowhere"):
        data.setup("fit")


@pytest.mark.parametrize("every", [1, 0, -3])
def test_holding_out_everything_is_refused(every: int) -> None:
    with pytest.raises(SettingsError, match=r"holdout_every of at least 2.* got"):
        PairDataModule(synthetic=4, holdout_every=every)


def test_nothing_to_hold_out_says_what_to_do() -> None:
    data = PairDataModule(synthetic=2, holdout_every=1000)
    data.setup("fit")
    assert len(data._sampler("train").sets[0]) == 2
    with pytest.raises(SettingsError, match=r"expected clips to hold out in synthetic.*1000"):
        data._sampler("held_out")


def listed_videos(root: Path) -> None:
    """`parkour` in two sets, with other frames; `b` and `c` of one source; all listed."""
    for number, name in enumerate(["one/parkour", "two/parkour", "two/b", "one/c", "one/d"]):
        picture(root / name / "img" / "0001.png", number)
        write(root / name / "groundtruth_rect.txt", BOX)
    facts = [
        {"set": "one", "sequence": "parkour"},
        {"set": "two", "sequence": "parkour", "box_quality": "loose"},
        {"set": "two", "sequence": "b", "source": "somewhere"},
        {"set": "one", "sequence": "c", "source": "somewhere", "box_quality": "good"},
        {"set": "one", "sequence": "d", "source": None},
    ]
    write(root / "index.json", json.dumps(facts))


def test_sequences_of_one_source_or_name_are_one_video(tmp_path: Path) -> None:
    listed_videos(tmp_path)
    sources = Sources(video_folders=str(tmp_path)).open()
    origins = {clip.name: clip.origin for source in sources for clip in source.clips.clips}
    assert origins == {
        **{"one/parkour": "one/parkour", "two/parkour": "one/parkour"},
        **{"one/c": "one/c", "two/b": "one/c", "one/d": "one/d"},
    }
    exact = {clip.name: clip.exact for source in sources for clip in source.clips.clips}
    assert [name for name, good in exact.items() if not good] == ["two/parkour"]


def test_the_split_of_a_clip_is_the_same_wherever_it_is_stored() -> None:
    split = Split(4, ("gone",), frozenset({"x/1"}))
    assert split.side("gone", "x/1") == "held_out_sets" and split.side("x", "x/1") is None
    sides = [split.side("x", f"x/{number}") for number in range(2, 402)]
    assert 70 < sides.count("held_out") < 130 and set(sides) == {"train", "held_out"}
