"""Image files that are damaged, and how often what is whole is read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dcfst_training.datasets import Clip, LaSOT
from dcfst_training.datasets.clips import ClipList
from dcfst_training.datasets.images import UnreadableFrameError, decode_image
from dcfst_training.pair_sampling import ClipPair, PairSampler
from dcfst_training.pairs import CropOptions, PairDataset, make_example


def noise(size: tuple[int, int] = (90, 120)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_a_file_cut_short_is_named(kind: str, share: float) -> None:
    """OpenCV decodes half a JPEG without an error, its missing rows grey."""
    data = cv2.imencode(f".{kind}", noise())[1].tobytes()
    assert decode_image(data, "whole").shape == (90, 120, 3)
    assert decode_image(data + b"\0" * 20, "with a tail").shape == (90, 120, 3)
    with pytest.raises(UnreadableFrameError, match=r"image in a/b\.img; it is cut short"):
        decode_image(data[: int(share * len(data))], "a/b.img")


def test_a_frame_cut_short_is_not_trained_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = tuple(tmp_path / f"{number}.jpg" for number in range(4))
    for path in frames:
        cv2.imwrite(str(path), noise())
    frames[2].write_bytes(frames[2].read_bytes()[:-2000])
    clip = Clip("c", frames, np.tile([20.0, 20, 30, 30], (4, 1)))
    dataset = PairDataset(PairSampler([ClipList("s", (clip,))], [1.0], 9), CropOptions(), 12, (0,))
    for index in range(12):
        dataset[index]
    assert f"{frames[2]}; it is cut short" in caplog.text


def test_a_still_is_decoded_once() -> None:
    reads = []

    def read(path: Path) -> np.ndarray:
        reads.append(path)
        return noise()

    boxes = np.tile([20.0, 20, 30, 30], (2, 1))
    clip = Clip("c", (Path("0"), Path("1")), boxes, read)
    for pair, expected in ((ClipPair(clip, 0, 0), 1), (ClipPair(clip, 0, 1), 2)):
        reads.clear()
        make_example(pair, CropOptions(), np.random.default_rng(0))
        assert len(reads) == expected


def test_annotations_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cat-1", "cat-2"):
        folder = tmp_path / "cat" / name
        (folder / "img").mkdir(parents=True)
        cv2.imwrite(str(folder / "img" / "00000001.jpg"), noise())
        (folder / "groundtruth.txt").write_text("5,5,20,20\n")
        for flags in ("full_occlusion", "out_of_view"):
            (folder / f"{flags}.txt").write_text("0")
    clips = LaSOT(tmp_path)
    first = clips.clip(0)
    for path in tmp_path.rglob("groundtruth.txt"):
        path.unlink()
    assert clips.clip(0) is first
    monkeypatch.setattr("dcfst_training.datasets.lazy.CACHE_BYTES", 100)
    (tmp_path / "cat" / "cat-1" / "groundtruth.txt").write_text("5,5,20,20\n")
    small = LaSOT(tmp_path)  # no room: read again each time
    assert small.clip(0) is not small.clip(0)
