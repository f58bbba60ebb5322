"""Search regions: the map there and back, exact crops, borders, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcfst_core.errors import FrameError
from dcfst_core.tracking.patch import (
    SearchRegion,
    check_frame,
    crop_region,
    crop_regions,
    normalize_patches,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("_case", range(20))
def test_map_to_patch_and_back(_case: int) -> None:
    box = (*RNG.uniform(-50, 1200, 2), *RNG.uniform(3, 500, 2))
    region = SearchRegion.around((*RNG.uniform(0, 900, 2), *RNG.uniform(5, 300, 2)), 5.0, 288)
    assert region.to_image(region.to_patch(box)) == pytest.approx(box, abs=1e-3)


def test_target_is_centred_with_the_wanted_size() -> None:
    region = SearchRegion.around((100.0, 50.0, 40.0, 90.0), 5.0, 288)
    x, y, w, h = region.to_patch((100.0, 50.0, 40.0, 90.0))
    assert (x + w / 2, y + h / 2) == pytest.approx((144, 144))
    assert np.sqrt(w * h) == pytest.approx(288 / 5)


def gradient_frame(height: int, width: int) -> torch.Tensor:
    """Each pixel holds its own centre coordinates, so a crop can be read like a map."""
    ys, xs = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack((xs, ys, xs + ys)).float()


@pytest.mark.parametrize("side", [60.0, 144.3, 288.0, 400.7, 700.0, 1111.1])
def test_crop_samples_the_right_places(side: float) -> None:
    frame = gradient_frame(1400, 1500)
    region = SearchRegion(703.37, 688.81, side, 288)
    patch = crop_region(frame, region)
    index = torch.arange(288, dtype=torch.float64) + 0.5
    expected_x = (index - 144) / region.scale + region.centre_x
    expected_y = (index - 144) / region.scale + region.centre_y
    assert (patch[0] - expected_x).abs().max() < 0.02
    assert (patch[1] - expected_y[:, None]).abs().max() < 0.02


def test_border_pixels_are_repeated_outside_of_the_image() -> None:
    frame = torch.zeros(3, 40, 60)
    frame[:, :, -1] = 200
    patch = crop_region(frame, SearchRegion(60.0, 20.0, 40.0, 96))
    assert patch[:, :, 60:].min() > 199
    whole = crop_region(frame, SearchRegion(500.0, 20.0, 40.0, 96))
    assert (whole - 200).abs().max() < 1e-3


def test_a_small_image_fits_into_a_region_many_times_its_size() -> None:
    patch = crop_region(torch.full((3, 5, 7), 90.0), SearchRegion(3.0, 2.0, 900.0, 96))
    assert (patch - 90).abs().max() < 1e-3


def test_regions_are_normalised_and_stacked() -> None:
    frame = gradient_frame(100, 100)
    regions = [SearchRegion(40.0, 40.0, 50.0, 96), SearchRegion(60.0, 50.0, 80.0, 96)]
    patches = crop_regions(frame, regions)
    assert patches.shape == (2, 3, 96, 96)
    assert torch.equal(patches[1], normalize_patches(crop_region(frame, regions[1])[None])[0])


def test_frames_that_are_accepted() -> None:
    rgb = RNG.integers(0, 255, (8, 9, 3), dtype=np.uint8)
    assert np.array_equal(check_frame(rgb), rgb)
    assert np.array_equal(check_frame(np.dstack((rgb, rgb[..., 0]))), rgb)
    for grey in (rgb[..., 0], rgb[..., :1]):
        assert np.array_equal(check_frame(grey), np.repeat(rgb[..., :1], 3, axis=2))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((8, 9, 3), np.uint16), "8-bit.*got uint16"),
        (np.zeros((8, 9, 3), np.float32), "8-bit.*got float32"),
        (np.zeros((8, 9, 2), np.uint8), r"shape.*got \(8, 9, 2\)"),
        (np.zeros((0, 9, 3), np.uint8), r"at least.*one pixel.*got \(0, 9, 3\)"),
        (np.zeros(5, np.uint8), r"got \(5,\)"),
        ([[1, 2]], "numpy array"),
    ],
)
def test_frames_that_are_refused(frame: object, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        check_frame(frame)  # type: ignore[arg-type]
