"""How much a target grew: known stretches of a picture's parts, and what has no growth to tell."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from dcfst_core.boxes import BoxXYWH
from dcfst_core.evaluation.synthetic import texture
from dcfst_core.tracking.growth import CloseUp

WIDTH, HEIGHT = 480, 360
MIDDLE = (230.0, 190.0)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """(HEIGHT, WIDTH, 3), coarse and fine."""
    rng = np.random.default_rng(7)
    coarse, fine = (texture(rng, (WIDTH, HEIGHT), grain, 25.0).astype(int) for grain in (40, 6))
    return np.clip(coarse + fine - 127, 0, 255).astype(np.uint8)


def box(width: float, height: float) -> BoxXYWH:
    return MIDDLE[0] - width / 2, MIDDLE[1] - height / 2, width, height


def stretched(
    picture: np.ndarray, by_x: float, by_y: float, dx: float = 0.0, dy: float = 0.0
) -> np.ndarray:
    """The picture stretched about the middle, and moved."""
    # OpenCV's coordinates begin in the middle of the first pixel.
    x, y = MIDDLE[0] - 0.5, MIDDLE[1] - 0.5
    matrix = np.array([[by_x, 0.0, x + dx - by_x * x], [0.0, by_y, y + dy - by_y * y]])
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)


@pytest.mark.parametrize("size", [(20, 20), (30, 70), (90, 60), (200, 160), (300, 240)])
@pytest.mark.parametrize("by", [(1.0, 1.0), (1.1, 1.1), (0.93, 0.93), (0.95, 1.05)])
def test_a_stretch_is_found_wherever_the_target_went(
    picture: np.ndarray, size: tuple[int, int], by: tuple[float, float]
) -> None:
    later = stretched(picture, *by, dx=3.0, dy=-2.0)
    growth = CloseUp.of(picture, box(*size)).growth_at(later, *MIDDLE)
    assert growth is not None
    assert (growth.log_width, growth.log_height) == pytest.approx(np.log(by), abs=0.015)
    assert 0.02 <= growth.deviation < 0.08


def test_of_a_small_target_it_is_known_less(picture: np.ndarray) -> None:
    deviations = []
    for side in (20, 40, 120):
        growth = CloseUp.of(picture, box(side, side)).growth_at(picture, *MIDDLE)
        assert growth is not None
        deviations.append(growth.deviation)
    assert deviations == sorted(deviations, reverse=True)


def test_points_that_go_their_own_ways_are_believed_less(picture: np.ndarray) -> None:
    still = CloseUp.of(picture, box(90, 60))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    bent = cv2.remap(picture, columns + 2 * np.sin(rows / 7), rows, cv2.INTER_LINEAR)
    rigid, other = still.growth_at(picture, *MIDDLE), still.growth_at(bent, *MIDDLE)
    assert rigid is not None and (other is None or other.deviation > 1.5 * rigid.deviation)


def test_a_target_that_is_covered_has_no_growth(picture: np.ndarray) -> None:
    covered = picture.copy()
    covered[140:240, 170:290] = texture(np.random.default_rng(3), (120, 100), 9, 40.0)
    assert CloseUp.of(picture, box(90, 60)).growth_at(covered, *MIDDLE) is None


@pytest.mark.parametrize("value", [0, 127, 255])
def test_a_target_without_anything_on_it_has_no_growth(value: int) -> None:
    flat = np.full((HEIGHT, WIDTH, 3), value, dtype=np.uint8)
    assert CloseUp.of(flat, box(90, 60)).growth_at(flat, *MIDDLE) is None


@pytest.mark.parametrize("corner", [(-30.0, -20.0), (440.0, 330.0), (-500.0, 900.0)])
def test_a_target_at_the_edge_or_beyond_it_is_no_error(
    picture: np.ndarray, corner: tuple[float, float]
) -> None:
    x, y = corner
    growth = CloseUp.of(picture, (x, y, 80, 60)).growth_at(picture, x + 40, y + 30)
    assert growth is None or math.hypot(growth.log_width, growth.log_height) < 0.02


def test_what_is_as_flat_as_the_sky_tells_no_growth(picture: np.ndarray) -> None:
    """Points on nothing but a compressed image's noise slide along what is near them."""
    rng = np.random.default_rng(5)
    skies = [(180 + rng.normal(0, 0.7, picture.shape)).astype(np.uint8) for _ in range(2)]
    assert CloseUp.of(skies[0], box(90, 60)).growth_at(skies[1], *MIDDLE) is None
