"""Image messages to RGB, against rosbags-image and against pixels written by hand."""

from __future__ import annotations

import array
import re
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from dcfst_core.errors import BoxError
from dcfst_core.media.image_messages import (
    ENCODINGS,
    ImageMessageError,
    compressed_to_rgb,
    image_to_rgb,
    rgb_to_image,
    to_rgb,
)
from dcfst_ros.conversions import class_id_of, detection_to_box, fill_bounding_box

H, W = 6, 8


def message(
    encoding: str, data: bytes, step: int, width: int = W, height: int = H, big: int = 0
) -> SimpleNamespace:
    """An object with the fields of sensor_msgs/Image; rclpy's own are used in the node tests."""
    return SimpleNamespace(
        encoding=encoding,
        data=array.array("B", data),
        step=step,
        width=width,
        height=height,
        is_bigendian=big,
    )


def random_message(encoding: str, padding: int = 0, big: int = 0) -> SimpleNamespace:
    spec = ENCODINGS[encoding]
    rows = int(H * spec.rows_per_line)
    row_bytes = W * spec.channels * spec.bits // 8
    rng = np.random.default_rng(1)
    # Smooth values: demosaicing and chroma subsampling are compared, not amplified.
    lines = rng.integers(60, 180, (rows, row_bytes), dtype=np.uint8)
    padded = np.zeros((rows, row_bytes + padding), np.uint8)
    padded[:, :row_bytes] = lines
    return message(encoding, padded.tobytes(), row_bytes + padding, big=big)


@pytest.mark.parametrize("encoding", sorted(e for e in ENCODINGS if e not in ("nv12", "nv21")))
def test_every_encoding_agrees_with_rosbags_image(encoding: str) -> None:
    reference_of = pytest.importorskip("rosbags.image").message_to_cvimage
    sent = random_message(encoding)
    known = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8", "16UC1": "mono16"}
    twin = SimpleNamespace(**vars(sent))
    twin.encoding = known.get(encoding, encoding)
    try:
        reference = reference_of(twin, "rgb8")
    except Exception as error:
        pytest.skip(f"rosbags-image cannot convert {encoding}: {error}")
    if reference.ndim == 2:
        reference = np.repeat(reference[..., None], 3, axis=2)
    got = image_to_rgb(sent)
    assert got.shape == (H, W, 3) and got.dtype == np.uint8 and got.flags.c_contiguous
    # 16-bit values are rounded here and truncated there.
    assert np.abs(got.astype(int) - reference.astype(int)).max() <= (1 if "16" in encoding else 0)


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_padding_at_the_end_of_rows_changes_nothing(encoding: str) -> None:
    plain, padded = random_message(encoding), random_message(encoding, padding=12)
    np.testing.assert_array_equal(image_to_rgb(plain), image_to_rgb(padded))


def test_the_last_row_may_lack_its_padding() -> None:
    padded = random_message("rgb8", padding=12)
    short = message("rgb8", padded.data.tobytes()[:-12], padded.step)
    np.testing.assert_array_equal(image_to_rgb(short), image_to_rgb(padded))


def test_known_pixels() -> None:
    pixels = bytes([10, 20, 30, 40, 50, 60])
    rgb = image_to_rgb(message("rgb8", pixels, 6, width=2, height=1))
    bgr = image_to_rgb(message("bgr8", pixels, 6, width=2, height=1))
    np.testing.assert_array_equal(rgb, [[[10, 20, 30], [40, 50, 60]]])
    np.testing.assert_array_equal(bgr, [[[30, 20, 10], [60, 50, 40]]])
    np.testing.assert_array_equal(
        image_to_rgb(message("mono8", bytes([7]), 1, width=1, height=1)), [[[7, 7, 7]]]
    )


def test_both_byte_orders_of_16_bit_images() -> None:
    values = np.array([[0, 257 * 100, 65535]], np.uint16)
    little = message("mono16", values.astype("<u2").tobytes(), 6, width=3, height=1)
    big = message("mono16", values.astype(">u2").tobytes(), 6, width=3, height=1, big=1)
    for sent in (little, big):
        np.testing.assert_array_equal(image_to_rgb(sent)[0, :, 0], [0, 100, 255])


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
def test_planar_yuv_of_a_grey_image_is_grey(encoding: str) -> None:
    data = np.concatenate([np.full((H, W), 126, np.uint8), np.full((H // 2, W), 128, np.uint8)])
    got = image_to_rgb(message(encoding, data.tobytes(), W))
    assert got.shape == (H, W, 3) and np.ptp(got) == 0 and abs(int(got[0, 0, 0]) - 128) <= 2


def test_a_bayer_pattern_is_demosaiced_with_the_right_colours() -> None:
    for pattern in ("rggb", "bggr", "gbrg", "grbg"):
        colour = {"r": 200, "g": 100, "b": 20}
        mosaic = np.zeros((H, W), np.uint8)
        for index, name in enumerate(pattern):
            mosaic[index // 2 :: 2, index % 2 :: 2] = colour[name]
        got = image_to_rgb(message(f"bayer_{pattern}8", mosaic.tobytes(), W))
        np.testing.assert_array_equal(got[2:4, 2:4], np.full((2, 2, 3), [200, 100, 20]))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"encoding": "jpeg2000"}, "'jpeg2000' is not supported; supported are 16UC1"),
        ({"width": 0}, "at least 1x1, got 0x6"),
        ({"height": 0}, "at least 1x1, got 8x0"),
        ({"step": 23}, "expected step >= 24 for 8 pixels of rgb8, got 23"),
        ({"step": 0}, "expected step >= 24"),
        ({"data": array.array("B", bytes(100))}, "expected at least 144 bytes for 8x6 rgb8"),
        ({"data": array.array("B")}, "got 0"),
    ],
)
def test_messages_that_contradict_themselves(change: dict[str, Any], expected: str) -> None:
    bad = random_message("rgb8")
    for name, value in change.items():
        setattr(bad, name, value)
    with pytest.raises(ImageMessageError, match=re.escape(expected)):
        image_to_rgb(bad)


def test_the_frame_does_not_alias_the_message() -> None:
    sent = random_message("rgb8")
    frame = image_to_rgb(sent)
    before = frame.copy()
    for index in range(len(sent.data)):
        sent.data[index] = 0
    np.testing.assert_array_equal(frame, before)


def test_compressed_images_and_their_errors() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (H, W, 3), dtype=np.uint8)
    ok, data = cv2.imencode(".png", rgb[..., ::-1])
    assert ok
    sent = SimpleNamespace(format="rgb8; png compressed bgr8", data=data.tobytes())
    np.testing.assert_array_equal(compressed_to_rgb(sent), rgb)
    np.testing.assert_array_equal(to_rgb(sent), rgb)
    grey = SimpleNamespace(format="png", data=cv2.imencode(".png", rgb[..., 0])[1].tobytes())
    np.testing.assert_array_equal(to_rgb(grey), np.repeat(rgb[..., :1], 3, axis=2))
    deep = np.full((H, W), 257 * 30, np.uint16)
    deep_sent = SimpleNamespace(format="png", data=cv2.imencode(".png", deep)[1].tobytes())
    assert (to_rgb(deep_sent) == 30).all()
    for data_bytes, form, expected in (
        (b"", "jpeg", "got 0 bytes"),
        (b"not an image", "jpeg", "12 bytes of format 'jpeg' that do not decode"),
        (b"x", "16UC1; compressedDepth png", "compressedDepth"),
    ):
        with pytest.raises(ImageMessageError, match=expected):
            compressed_to_rgb(SimpleNamespace(format=form, data=data_bytes))


@pytest.mark.ros
def test_images_and_boxes_survive_real_messages() -> None:
    pytest.importorskip("rclpy")
    from sensor_msgs.msg import Image
    from vision_msgs.msg import Detection2D, ObjectHypothesisWithPose

    rgb = np.random.default_rng(3).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(image_to_rgb(rgb_to_image(rgb, Image())), rgb)

    detection = Detection2D()
    fill_bounding_box((10.5, 20.25, 30.0, 40.5), detection.bbox)
    assert detection.bbox.center.position.x == 25.5
    assert detection_to_box(detection) == (10.5, 20.25, 30.0, 40.5)
    assert class_id_of(detection) == ""
    for name, score in (("cat", 0.2), ("dog", 0.7)):
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id, result.hypothesis.score = name, score
        detection.results.append(result)
    assert class_id_of(detection) == "dog"
    detection.bbox.center.theta = 0.5
    with pytest.raises(BoxError, match=r"theta 0.5"):
        detection_to_box(detection)
