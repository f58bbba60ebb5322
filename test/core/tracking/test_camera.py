"""How far the camera moved: known shifts of a large picture's parts, and frames without any."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dcfst_core.evaluation.synthetic import texture
from dcfst_core.tracking.camera import Scene

SIZE = (480, 360)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """(720, 960, 3), coarse and fine."""
    rng = np.random.default_rng(7)
    coarse, fine = (texture(rng, (960, 720), grain, 25.0).astype(int) for grain in (60, 6))
    return np.clip(coarse + fine - 127, 0, 255).astype(np.uint8)


def view(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    """What a camera sees whose left, top corner is at (x, y) in the picture."""
    matrix = np.array([[1.0, 0.0, -x], [0.0, 1.0, -y]])
    return cv2.warpAffine(picture, matrix, SIZE)


@pytest.mark.parametrize(
    ("dx", "dy"), [(0.0, 0.0), (1.5, -0.75), (12.0, 9.0), (-60.0, 25.0), (130.0, -70.0)]
)
def test_a_shift_is_found_to_half_a_pixel(picture: np.ndarray, dx: float, dy: float) -> None:
    before, now = Scene.of(view(picture, 240, 180)), Scene.of(view(picture, 240 - dx, 180 - dy))
    assert now.shift_from(before) == pytest.approx((dx, dy), abs=0.5)


def test_something_else_that_moves_is_not_the_camera(picture: np.ndarray) -> None:
    before, now = view(picture, 200, 200), view(picture, 190, 200)
    before[150:230, 100:160], now[150:230, 160:220] = 220, 220
    assert Scene.of(now).shift_from(Scene.of(before)) == pytest.approx((10, 0), abs=1.5)


def test_two_frames_that_share_nothing_tell_no_shift(picture: np.ndarray) -> None:
    other = np.random.default_rng(8)
    unrelated = texture(other, SIZE, 20, 60.0)
    scene = Scene.of(view(picture, 100, 100))
    assert Scene.of(unrelated).shift_from(scene) is None
    beyond = Scene.of(view(picture, 480, 360))
    assert beyond.shift_from(Scene.of(view(picture, 0, 0))) is None


@pytest.mark.parametrize("value", [0, 127, 255])
def test_a_frame_without_anything_in_it_tells_no_shift(picture: np.ndarray, value: int) -> None:
    empty = Scene.of(np.full((360, 480, 3), value, dtype=np.uint8))
    assert empty.shift_from(empty) in (None, pytest.approx((0, 0), abs=0.01))
    assert empty.shift_from(Scene.of(view(picture, 0, 0))) is None


def test_frames_of_other_sizes_tell_no_shift(picture: np.ndarray) -> None:
    small = Scene.of(cv2.resize(picture, (320, 200)))
    assert small.shift_from(Scene.of(picture)) is None


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (4000, 30)])
def test_any_size_of_frame_is_taken(size: tuple[int, int]) -> None:
    frame = texture(np.random.default_rng(1), size, 4, 50.0)
    scene = Scene.of(frame)
    assert scene.shift_from(scene) in (None, pytest.approx((0, 0), abs=0.5))


def test_a_large_frame_is_told_as_its_small_copy(picture: np.ndarray) -> None:
    """Rows that are left out for speed take nothing away."""
    large = [cv2.resize(view(picture, x, 200), (1920, 1440)) for x in (200, 221)]
    shift = Scene.of(large[1]).shift_from(Scene.of(large[0]))
    assert shift == pytest.approx((-84, 0), abs=2.0)
