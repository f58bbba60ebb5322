"""Palettes: against counting by hand, and what they do and do not tell apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dcfst_core.tracking.colours import BINS, learned, likeness, palettes
from dcfst_core.tracking.patch import normalize_patches

BOX = torch.tensor([[20.0, 24.0, 52.0, 64.0]])
GREY = (110, 110, 110)


def patch(box_colours: np.ndarray, around: tuple[int, int, int] = GREY) -> Tensor:
    """A normalised patch of one colour with other pixels in `BOX`."""
    pixels = np.empty((96, 96, 3))
    pixels[:] = around
    pixels[24:64, 20:52] = box_colours
    return normalize_patches(torch.tensor(pixels, dtype=torch.float32).permute(2, 0, 1)[None])


def noise(seed: int, mean: tuple[int, int, int]) -> np.ndarray:
    """Pixels (40, 32, 3) about a colour."""
    return np.random.default_rng(seed).normal(mean, 20, (40, 32, 3)).clip(0, 255)


def test_a_palette_is_the_count_of_colours_in_overlapping_bins() -> None:
    pixels = noise(0, (60, 120, 180))
    shown = patch(pixels)
    picture = np.full((96, 96, 3), 110.0)
    picture[24:64, 20:52] = pixels
    steps = (np.arange(16) + 0.5) / 16 - 0.5
    rows, columns = ((44 + 120 * steps).clip(0, 95), (36 + 96 * steps).clip(0, 95))
    brightness = picture[rows.astype(int)][:, columns.astype(int)].mean()
    counted = np.zeros((BINS,) * 3)
    for row in range(16):
        for column in range(16):
            y = 44 + 0.8 * 40 * ((row + 0.5) / 16 - 0.5)
            x = 36 + 0.8 * 32 * ((column + 0.5) / 16 - 0.5)
            colour = pixels[int(y) - 24, int(x) - 20] * 110 / brightness
            for corner in np.ndindex(2, 2, 2):
                share, place = 1.0, []
                for value, up in zip(colour, corner, strict=True):
                    at = min(max(value * BINS / 256 - 0.5, 0), BINS - 1 - 1e-4)
                    share *= at - math.floor(at) if up else 1 - at + math.floor(at)
                    place.append(math.floor(at) + up)
                counted[tuple(place)] += share / 256
    assert palettes(shown, BOX).view(BINS, BINS, BINS).numpy() == pytest.approx(counted, abs=1e-5)


def test_palettes_of_a_batch_are_those_of_its_rows() -> None:
    shown = [patch(noise(seed, (80, 90, 40 * seed))) for seed in range(4)]
    boxes = torch.cat([BOX + shift for shift in range(4)])
    together = palettes(torch.cat(shown), boxes)
    assert together.sum(dim=1) == pytest.approx(torch.ones(4), abs=1e-5)
    for row, (one, box) in enumerate(zip(shown, boxes, strict=True)):
        assert together[row] == pytest.approx(palettes(one, box[None])[0], abs=1e-6)


def test_other_colours_are_told_and_brightness_is_not() -> None:
    known = palettes(patch(noise(0, (150, 70, 70))), BOX)

    def alike(shown: Tensor) -> float:
        return float(likeness(known, palettes(shown, BOX)))

    assert alike(patch(noise(0, (150, 70, 70)))) == pytest.approx(1.0, abs=1e-5)
    assert alike(patch(noise(1, (150, 70, 70)))) > 0.93  # other pixels of the same kind
    assert alike(patch(noise(1, (70, 150, 70)))) < 0.4
    dark = patch(noise(1, (150, 70, 70)) * 0.5, around=(55, 55, 55))
    assert alike(dark) > 0.9
    assert alike(patch(noise(1, (75, 35, 35)))) < 0.5  # darker than its surroundings


def test_it_does_not_matter_which_region_shows_the_box() -> None:
    """One shows a bright window beside the place, one does not."""
    picture = np.random.default_rng(3).normal(90, 30, (96, 112, 3)).clip(0, 255)
    picture[:, 96:] = 250
    pixels = torch.tensor(picture, dtype=torch.float32).permute(2, 0, 1)[None]
    one, other = (normalize_patches(pixels[..., left : left + 96]) for left in (0, 16))
    box = torch.tensor([[40.0, 40.0, 56.0, 56.0]])
    shifted = box - torch.tensor([16.0, 0.0, 16.0, 0.0])
    assert palettes(other, shifted) == pytest.approx(palettes(one, box), abs=1e-6)


def test_what_is_learned_comes_nearer() -> None:
    known, seen = (palettes(patch(noise(0, mean)), BOX) for mean in ((150, 70, 70), (70, 150, 70)))
    before = float(likeness(known, seen))
    for _ in range(40):
        known = learned(known, seen)
    assert float(known.sum()) == pytest.approx(1.0, abs=1e-5)
    assert before < 0.4 and float(likeness(known, seen)) > 0.8


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
def test_boxes_that_are_none_give_palettes_all_the_same(value: float) -> None:
    shown = patch(noise(0, (150, 70, 70)))
    for box in (torch.full((1, 4), value), torch.tensor([[value, 3.0, 9.0, 9.0]])):
        assert float(palettes(shown, box).sum()) == pytest.approx(1.0, abs=1e-5)


def test_black_patches_have_a_palette() -> None:
    black = normalize_patches(torch.zeros(1, 3, 96, 96))
    assert float(palettes(black, BOX).sum()) == pytest.approx(1.0, abs=1e-5)
