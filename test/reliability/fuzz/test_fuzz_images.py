"""Images and messages with any values in any field: a picture, or an error that explains."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from fuzzing import Fuzz
from hypothesis import strategies as st

from dcfst_core import Tracker, TrackerConfig
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.image_messages import ENCODINGS, compressed_to_rgb, image_to_rgb
from dcfst_core.network.checkpoint import load_model
from dcfst_core.tracking.patch import check_frame

CLIP = SyntheticClip(frames=2, size=(64, 48), target=(16, 16), period=60)
UINT32 = st.one_of(st.integers(0, 70), st.sampled_from([2**16, 2**31, 2**32 - 1]))


def is_picture(frame: np.ndarray, width: int, height: int) -> bool:
    return frame.shape == (height, width, 3) and frame.dtype == np.uint8


@pytest.mark.fuzz(14)
def test_image_messages(fuzz: Fuzz) -> None:
    def check(case: dict[str, Any]) -> None:
        message = SimpleNamespace(**case)
        assert is_picture(image_to_rgb(message), message.width, message.height)

    encodings = st.one_of(st.sampled_from(sorted(ENCODINGS)), st.text(max_size=6))
    fields = {
        **{"width": UINT32, "height": UINT32, "step": UINT32, "encoding": encodings},
        **{"is_bigendian": st.integers(0, 255), "data": st.binary(max_size=600)},
    }
    near = st.tuples(
        st.sampled_from(sorted(ENCODINGS)), st.integers(1, 9), st.integers(1, 9), st.integers(0, 3)
    ).map(_consistent)
    fuzz.draw(st.one_of(st.fixed_dictionaries(fields), near), check)


def _consistent(case: tuple[str, int, int, int]) -> dict[str, Any]:
    """A message whose sizes fit, but for what some encodings ask of them."""
    name, width, height, padding = case
    encoding = ENCODINGS[name]
    step = width * encoding.channels * encoding.bits // 8 + padding
    data = bytes(range(256)) * (1 + step * height * 2 // 256)
    fields = {"width": width, "height": height, "step": step, "encoding": name}
    return {**fields, "is_bigendian": padding % 2, "data": data}


@pytest.mark.fuzz(8)
def test_compressed_image_messages(fuzz: Fuzz) -> None:
    frame = next(iter(CLIP))
    samples = [
        cv2.imencode(kind, frame)[1].tobytes() for kind in (".png", ".jpg", ".webp", ".bmp")
    ]
    samples += [cv2.imencode(".png", frame[..., 0].astype(np.uint16) * 257)[1].tobytes()]

    def check(data: bytes) -> None:
        for form in ("png", "bayer_rggb8; png compressed bayer_rggb8"):
            picture = compressed_to_rgb(SimpleNamespace(data=data, format=form))
            assert picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8

    fuzz.mutate(samples, check)


@pytest.mark.fuzz(4)
def test_frames_of_any_shape_and_stride(fuzz: Fuzz) -> None:
    kinds = [np.uint8, np.uint8, np.int16, np.float32, np.float64, bool, object]

    def check(case: tuple[list[int], int, int]) -> None:
        shape, kind, view = case
        frame = np.zeros(shape, kinds[kind])
        if frame.ndim >= 2:
            frame = (frame, frame[::-1], frame[:, ::2], frame.T, frame[1:, 1:])[view]
        checked = check_frame(frame)
        assert checked.dtype == np.uint8 and checked.ndim == 3 and min(checked.shape) > 0

    shapes = st.one_of(
        st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5)).map(list),
        st.lists(st.integers(0, 9), max_size=5),
    )
    fuzz.draw(st.tuples(shapes, st.integers(0, 6), st.integers(0, 4)), check)


@pytest.mark.fuzz(2)
def test_a_tracker_given_any_frame_and_box(fuzz: Fuzz, untrained: str) -> None:
    """Held targets are followed in whatever comes, of whatever size, from whatever box."""
    config = TrackerConfig(patch_size=96, grid_size=5, box_refinement=False, update_interval=2)
    tracker = Tracker(load_model(untrained), config)
    frames = list(CLIP)
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    extremes = [noise, noise // 255 * 255, np.zeros_like(noise), np.full_like(noise, 255)]
    pool = [*frames, *extremes, frames[0][::-1], frames[1][:, ::-1]]

    def check(case: tuple[list[float], list[int]]) -> None:
        box, numbers = case
        tracker.reset()
        tracks = [tracker.init(pool[numbers[0]], box)]
        tracks += [tracker.update(pool[number]) for number in numbers[1:]]
        values = [[*track.box_xywh, track.score, track.presence] for track in tracks]
        assert np.isfinite(values).all(), values
        assert all(0 <= track.score <= 1 and min(track.box_xywh[2:]) > 0 for track in tracks)

    side = st.one_of(st.floats(-70, 140), st.floats())
    boxes = st.lists(side, min_size=4, max_size=4)
    numbers = st.lists(st.integers(0, len(pool) - 1), min_size=2, max_size=4)
    fuzz.draw(st.tuples(boxes, numbers), check)
