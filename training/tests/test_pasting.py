"""Masked objects pasted into crops: where, how much of a target they hide, and whose they are."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from dcfst_training.data import PairDataModule
from dcfst_training.datasets import BoxStills, MovingTargets
from dcfst_training.pasting import (
    LONGEST,
    MOST_COVERED,
    CutoutBank,
    cut_out,
    paste_beside,
    paste_over,
)

BOX = np.array([110.0, 120.0, 60.0, 50.0])
GREEN, RED = (0, 255, 0), (255, 0, 0)


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    """Twelve grey images with a green and a red disc each, whose masks are 1 and 2."""
    root = tmp_path / "discs"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    listing = []
    for number in range(12):
        image, mask = np.full((300, 400, 3), 90, np.uint8), np.zeros((300, 400), np.uint8)
        image[0, 0] = number  # no two are the same file
        objects = []
        for value, (x, colour) in enumerate(((100, GREEN), (280, RED)), start=1):
            cv2.circle(image, (x, 150), 80, colour, -1)
            cv2.circle(mask, (x, 150), 80, value, -1)
            objects.append({"label": "disc", "box": [x - 80, 70, 161, 161]})
        cv2.imwrite(str(root / "images" / f"{number}.png"), image[..., ::-1])
        cv2.imwrite(str(root / "masks" / f"{number}.png"), mask)
        item = {"file": f"{number}.png", "width": 400, "height": 300, "objects": objects}
        listing.append(item)
    (root / "boxes.json").write_text(json.dumps(listing))
    return tmp_path


def pasted(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=2)


def test_an_object_is_cut_out_without_its_background(stills: Path) -> None:
    clips = BoxStills(stills / "discs").clips
    for clip, colour in zip(clips[:2], (GREEN, RED), strict=True):
        cutout = cut_out(clip)
        assert max(cutout.alpha.shape) == LONGEST
        assert abs(cutout.alpha.mean() / 255 - np.pi / 4) < 0.02  # a disc in its square
        assert np.abs(cutout.image[cutout.alpha == 255] - np.array(colour)).max() == 0


def test_an_only_object_may_be_marked_by_white(stills: Path) -> None:
    path = stills / "discs" / "masks" / "0.png"
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(path), np.where(mask == 1, 255, 0).astype(np.uint8))
    cutout = cut_out(BoxStills(stills / "discs").clips[0])
    assert abs(cutout.alpha.mean() / 255 - np.pi / 4) < 0.02


def test_a_rival_lies_beside_the_target_and_has_its_size(stills: Path) -> None:
    cutout = cut_out(BoxStills(stills / "discs").clips[0])
    before = np.zeros((288, 288, 3), np.uint8)
    areas = []
    for seed in range(40):
        after = paste_beside(before, BOX, cutout, np.random.default_rng(seed))
        there = pasted(before, after)
        areas.append(there.sum())
        assert not there[120:170, 110:170].any()
    assert min(areas) >= 0 and 0.3 < np.median(areas) / (60 * 50 * np.pi / 4) < 1.5
    assert not before.any(), "the crop itself stays as it is"


def test_an_occluder_leaves_enough_of_the_target(stills: Path) -> None:
    cutout = cut_out(BoxStills(stills / "discs").clips[0])
    before = np.zeros((288, 288, 3), np.uint8)
    shares = []
    for seed in range(40):
        after = paste_over(before, BOX, cutout, np.random.default_rng(seed))
        shares.append(pasted(before, after)[120:170, 110:170].mean())
    assert max(shares) < MOST_COVERED + 0.05
    assert np.mean(np.array(shares) > 0.02) > 0.9 and np.mean(shares) > 0.1


def test_pasted_objects_are_of_other_images_and_of_the_same_side(stills: Path) -> None:
    data = PairDataModule(still_folders=str(stills), holdout_every=3)
    data.setup("fit")
    origins = {}
    for side in ("train", "held_out"):
        data._sampler(side)
        origins[side] = {clip.origin for clip in data._cutouts[side]._clips}
    assert origins["train"] and origins["held_out"]
    assert not origins["train"] & origins["held_out"]
    clips = BoxStills(stills / "discs").clips
    bank, rng = CutoutBank(clips[:2]), np.random.default_rng(0)
    assert all(bank.draw(clips[0], rng) is None for _ in range(10))  # both are of its own image
    assert any(bank.draw(clips[2], rng) for _ in range(10))


def test_without_masks_nothing_is_pasted() -> None:
    assert len(CutoutBank([MovingTargets(1).clip(0)])) == 0
