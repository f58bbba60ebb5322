"""Pairs: which frames, where the target lies in the crops, what the proposals overlap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dcfst_core.network.box_tensors import iou_xyxy, xywh_to_xyxy
from dcfst_core.network.proposals import draw_elsewhere, draw_proposals
from dcfst_training.augmentation import Augmentation
from dcfst_training.datasets import Clip, MovingTargets
from dcfst_training.datasets.clips import ClipList
from dcfst_training.iou_learning import STRANGER_BOXES, strangers
from dcfst_training.pair_sampling import ClipPair, PairSampler
from dcfst_training.pairs import CropOptions, PairDataset, make_example

PLAIN = CropOptions(
    train_jitter=0.0,
    augmentation=Augmentation(0.0, 0.0, 0.0, 0.0, 2.5, 0.0, noise=0.0),
)


def marked_clip(tmp_path: Path) -> Clip:
    """Two frames, black but for a white target, so that crops can be checked by looking."""
    boxes = np.array([[50.0, 60.0, 24.0, 40.0], [90.0, 70.0, 30.0, 36.0]])
    frames = []
    for index, (x, y, w, h) in enumerate(boxes.astype(int)):
        image = np.zeros((200, 240, 3), np.uint8)
        image[y : y + h, x : x + w] = 255
        frames.append(tmp_path / f"{index}.png")
        cv2.imwrite(str(frames[-1]), image)
    return Clip("marked", tuple(frames), boxes)


def white_box(patch: torch.Tensor) -> np.ndarray:
    """Left, top, width and height of the bright area, to sub-pixel by its mass."""
    bright = patch[0].double().numpy() / 255
    columns, rows = bright.max(axis=0), bright.max(axis=1)
    centres = [
        (line * (np.arange(len(line)) + 0.5)).sum() / line.sum() for line in (columns, rows)
    ]
    sizes = [columns.sum(), rows.sum()]
    return np.array([centres[0] - sizes[0] / 2, centres[1] - sizes[1] / 2, *sizes])


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_boxes_lie_where_the_target_is(tmp_path: Path, flip: float) -> None:
    options = CropOptions(
        train_jitter=0.0, augmentation=Augmentation(flip, 0.0, 0.0, 0.0, 2.5, 0.0, noise=0.0)
    )
    for seed in range(5):
        example = make_example(
            ClipPair(marked_clip(tmp_path), 0, 1), options, np.random.default_rng(seed)
        )
        for name in ("train", "test"):
            patch, box = example[f"{name}_patch"], example[f"{name}_box"].numpy()
            assert patch.shape == (3, 288, 288) and patch.dtype == torch.uint8
            assert np.abs(white_box(patch) - box).max() < 0.6
        centre = example["train_box"][:2] + example["train_box"][2:] / 2
        assert (centre - 144).abs().max() < 1e-3
        size = example["train_box"][2:].prod().sqrt()
        assert float(size) == pytest.approx(288 / 5, rel=1e-3)


def test_test_crop_is_displaced_within_its_limits(tmp_path: Path) -> None:
    clip = marked_clip(tmp_path)
    offsets = []
    for seed in range(60):
        box = make_example(ClipPair(clip, 0, 1), PLAIN, np.random.default_rng(seed))["test_box"]
        offsets.append(((box[:2] + box[2:] / 2 - 144) / box[2:].prod().sqrt()).numpy())
    assert np.abs(offsets).max() <= PLAIN.shift + 1e-3
    assert np.std(offsets) > 0.5


def test_proposals_overlap_as_they_say() -> None:
    box = np.array([100.0, 90.0, 60.0, 30.0])
    boxes, ious = draw_proposals(box, 400, np.random.default_rng(0))
    expected = iou_xyxy(torch.tensor(boxes), xywh_to_xyxy(torch.tensor(box)))
    assert np.abs(expected.numpy() - ious).max() < 1e-9
    assert ious.min() >= 0.1
    assert ious.min() < 0.3 and ious.max() > 0.95  # both far and near ones


def test_boxes_elsewhere_lie_off_the_target() -> None:
    box = np.array([100.0, 90.0, 60.0, 30.0])
    boxes, ious = draw_elsewhere(box, 288, 200, np.random.default_rng(0))
    expected = iou_xyxy(torch.tensor(boxes), xywh_to_xyxy(torch.tensor(box)))
    assert np.abs(expected.numpy() - ious).max() < 1e-9 and ious.max() < 0.1
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert centres.min() >= 0 and centres.max() <= 288
    assert centres.std(axis=0).min() > 50  # all over the patch
    filling = draw_elsewhere(np.array([4.0, 4.0, 280.0, 280.0]), 288, 5, np.random.default_rng(0))
    assert filling[0].shape == (5, 4) and np.isfinite(filling[1]).all()


def test_boxes_elsewhere_follow_the_others(tmp_path: Path) -> None:
    pair = ClipPair(marked_clip(tmp_path), 0, 1)
    options = replace(PLAIN, proposals=6, elsewhere=4)
    example = make_example(pair, options, np.random.default_rng(0))
    assert example["proposals"].shape == (10, 4)
    assert example["proposal_ious"][:6].min() >= 0.1 > example["proposal_ious"][6:].max()


def test_each_pair_meets_another_clips_target() -> None:
    count = STRANGER_BOXES + 2
    boxes = torch.arange(4.0)[:, None].expand(4, count)
    vectors = torch.arange(4.0)[:, None]
    clip = torch.tensor([7, 7, 8, 9])  # the first two share an object
    shown, other = strangers((boxes, boxes), (vectors, vectors), clip.roll(1) != clip)
    assert shown[0][:, 0].tolist() == [0, 2, 3] and other[1][:, 0].tolist() == [3, 1, 2]
    assert shown[1].shape == (3, STRANGER_BOXES)


def test_pairs_are_near_visible_and_from_one_clip() -> None:
    boxes = np.tile([10.0, 10.0, 20.0, 20.0], (50, 1))
    boxes[20:30] = np.nan
    clip = Clip("c", tuple(Path(f"{i}") for i in range(50)), boxes)
    sampler = PairSampler([ClipList("set", (clip,))], [1.0], max_gap=7)
    rng = np.random.default_rng(0)
    pairs = [sampler.draw(rng) for _ in range(300)]
    gaps = {abs(pair.train_frame - pair.test_frame) for pair in pairs}
    assert gaps == set(range(1, 8))
    used = {frame for pair in pairs for frame in (pair.train_frame, pair.test_frame)}
    assert used == set(range(20)) | set(range(30, 50))


def test_sets_are_drawn_by_weight() -> None:
    sets = [MovingTargets(3, length=5), MovingTargets(300, length=9)]
    sampler = PairSampler(sets, [3.0, 1.0], max_gap=100)
    rng = np.random.default_rng(0)
    lengths = [len(sampler.draw(rng).clip.frames) for _ in range(400)]
    assert 0.7 < lengths.count(5) / 400 < 0.8
    with pytest.raises(ValueError, match="one weight >= 0 for each set"):
        PairSampler(sets, [1.0], max_gap=100)


def test_an_example_is_a_function_of_seed_and_index() -> None:
    def dataset(seed: int) -> PairDataset:
        return PairDataset(PairSampler([MovingTargets(4)], [1.0], 5), CropOptions(), 10, (seed, 0))

    first, again, other = dataset(1)[3], dataset(1)[3], dataset(2)[3]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["train_patch"], other["train_patch"])


def test_an_unreadable_frame_is_skipped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = marked_clip(tmp_path)
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff cut short")
    bad = Clip("bad", (tmp_path / "bad.jpg",), np.array([[1.0, 1, 20, 20]]))
    sampler = PairSampler([ClipList("set", (clip, bad))], [1.0], 100)
    dataset = PairDataset(sampler, CropOptions(), 8, (0,))
    for index in range(8):
        assert dataset[index]["train_patch"].float().max() > 0
    assert "skipped bad: expected an image in" in caplog.text
