"""Crops and their looks on bytes: the same as the tracker's, as fast as the recipes need."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dcfst_core.tracking.patch import SearchRegion, crop_region
from dcfst_training.augmentation import Augmentation
from dcfst_training.crops import crop_image


def picture(seed: int = 0, size: tuple[int, int] = (360, 500)) -> np.ndarray:
    """Smooth coloured noise with some sharp edges."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (size[0] // 8, size[1] // 8, 3)).astype(np.float32)
    image = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 255)
    image = image.astype(np.uint8)
    cv2.rectangle(image, (120, 80), (260, 210), (250, 20, 60), -1)
    return image


@pytest.mark.parametrize("side", [60.3, 200.7, 288.0, 400.2, 577.1, 901.0, 1500.0])
@pytest.mark.parametrize("centre", [(250.2, 170.6), (4.5, 350.0), (480.0, -20.0)])
def test_crops_are_those_of_the_tracker(side: float, centre: tuple[float, float]) -> None:
    image = picture()
    region = SearchRegion(*centre, side, 288)
    expected = crop_region(torch.from_numpy(image).permute(2, 0, 1), region).permute(1, 2, 0)
    found = crop_image(image, region)
    assert found.shape == (288, 288, 3) and found.dtype == np.uint8
    difference = np.abs(found - expected.numpy())
    assert difference.mean() < 1 and difference.max() < 6
    mirrored = crop_image(image, region, flip=True)[:, ::-1]
    assert np.abs(mirrored.astype(int) - found).max() <= 3


def test_colours_change_as_if_one_after_the_other() -> None:
    image = picture()
    augmentation = Augmentation(brightness=0.3, blur_probability=0.0, noise=0.0)
    for grey in (False, True):
        found = augmentation.look([image], np.random.default_rng(3), grey)[0]
        factors = np.random.default_rng(3).uniform(-0.3, 0.3, 3) + 1
        bright, contrast, saturation = factors
        level = image.mean(axis=2, keepdims=True)
        expected = (level + saturation * (image - level)) * bright
        expected = expected.mean() + contrast * (expected - expected.mean())
        if grey:
            expected = np.repeat((expected @ [0.299, 0.587, 0.114])[..., None], 3, axis=2)
        assert np.abs(found - expected.clip(0, 255)).max() < 2


def test_noise_has_the_drawn_strength_and_no_mean() -> None:
    image = np.full((288, 288, 3), 128, np.uint8)
    augmentation = Augmentation(brightness=0.0, blur_probability=0.0, noise=8.0)
    strengths = []
    for seed in range(60):
        found = augmentation.look([image], np.random.default_rng(seed))[0].astype(float)
        assert abs(found.mean() - 128) < 0.2
        strengths.append(found.std())
    assert 0.1 < np.mean(np.array(strengths) > 0.5) < 0.5  # a share of the crops
    assert 5 < max(strengths) < 8.2
