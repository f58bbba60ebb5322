"""Inputs that name a size beyond reason are refused before memory is given to them.

Each file here is small; a reader that believes it would need gigabytes, or fail with a traceback.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dcfst_core.cli.options import OptionError, tracker_config
from dcfst_core.errors import CheckpointError, FrameError, TargetError
from dcfst_core.evaluation.sequences import DatasetError, lines_of
from dcfst_core.evaluation.vot_regions import region_box
from dcfst_core.media import decoding, limits, sinks
from dcfst_core.media.frames import VideoError, read_image
from dcfst_core.media.image_messages import ImageMessageError, compressed_to_rgb, image_to_rgb
from dcfst_core.media.video import open_frames
from dcfst_core.network.checkpoint import load_model, save_model
from dcfst_core.network.model import DCFSTNet
from dcfst_core.tracking.saved_target import read_target

GIB = 2**30


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """A GiB on top of what the process has: who asks for more gets a MemoryError."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + GIB, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def huge_png(width: int, height: int) -> bytes:
    """A sound PNG of black pixels, a kilobyte for each megapixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """400 million pixels in 400 kB."""
    data = huge_png(20_000, 20_000)
    assert len(data) < 500_000
    return data


def test_a_compressed_image_of_a_huge_picture(bomb: bytes) -> None:
    message = SimpleNamespace(format="png", data=np.frombuffer(bomb, np.uint8))
    with pytest.raises(ImageMessageError, match="has more than 67108864 pixels"):
        compressed_to_rgb(message)


def test_an_image_file_of_a_huge_picture(bomb: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bomb)
    with pytest.raises(FrameError, match=r"a\.png .* has more than 67108864 pixels"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("height", [1, 2, 2**32 - 1])
@pytest.mark.parametrize("step", [2**32 - 1, 3 * 2**20])
def test_an_image_message_that_claims_more_than_it_brings(height: int, step: int) -> None:
    message = SimpleNamespace(
        height=height, width=2**20, step=step, encoding="rgb8", is_bigendian=0, data=bytes(1000)
    )
    with pytest.raises(ImageMessageError, match=r"expected at least \d+ bytes"):
        image_to_rgb(message)


def test_a_video_of_huge_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.mp4"
    with sinks.VideoWriter(path, 25) as writer:
        for _ in range(4):
            writer.write(np.zeros((120, 160, 3), np.uint8), None)
    with open_frames(path) as source:
        assert len(list(source)) == 4
    monkeypatch.setattr(decoding, "MOST_PIXELS", 160 * 120 - 1)
    with pytest.raises(VideoError, match=r"at most 19199 pixels; .* has 160 x 120"):
        open_frames(path)


def test_a_video_whose_frames_grow_in_mid_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder itself holds the bound: what the container says of the size is only its word."""
    parts = []
    for name, size in (("a.ts", (160, 120)), ("b.ts", (640, 480))):
        with decoding.av.open(str(tmp_path / name), "w", format="mpegts") as container:
            stream = container.add_stream("mpeg2video", rate=25)
            stream.width, stream.height, stream.pix_fmt = (*size, "yuv420p")
            for _ in range(5):
                picture = np.zeros((size[1], size[0], 3), np.uint8)
                frame = decoding.av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append((tmp_path / name).read_bytes())
    (tmp_path / "both.ts").write_bytes(b"".join(parts))
    with open_frames(tmp_path / "both.ts") as source:
        assert {frame.shape for frame in source} == {(120, 160, 3), (480, 640, 3)}
    monkeypatch.setattr(decoding, "MOST_PIXELS", 200 * 200)
    with open_frames(tmp_path / "both.ts") as source:
        assert {frame.shape for frame in source} == {(120, 160, 3)}
        assert source.missing is not None


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    save_model(DCFSTNet(), path, {})
    return path


def with_header(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def test_weights_whose_header_names_a_huge_tensor(weights: Path) -> None:
    def grow(header: dict[str, Any]) -> None:
        first = next(name for name in header if name != "__metadata__")
        header[first]["shape"] = [2**20, 2**20]

    with_header(weights, grow)
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        load_model(weights)


def test_weights_whose_header_is_longer_than_the_file(weights: Path) -> None:
    weights.write_bytes(struct.pack("<Q", 2**62) + weights.read_bytes()[8:])
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        load_model(weights)


def test_shapes_are_compared_before_any_tensor_is_made(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights.with_suffix(".json").write_text('{"architecture": {"dimensions": 16384}}')
    monkeypatch.setattr("dcfst_core.network.checkpoint.load_file", pytest.fail)
    with pytest.raises(CheckpointError, match=r"of shape \(\d+.*\) in .*; got"):
        load_model(weights)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"note": "' + "x" * 2**21 + '"}'])
def test_a_description_without_end_beside_the_weights(weights: Path, content: str) -> None:
    weights.with_suffix(".json").write_text(content)
    with pytest.raises(CheckpointError, match="expected JSON in"):
        load_model(weights)


def test_a_target_file_of_another_size(tmp_path: Path) -> None:
    with (tmp_path / "cup.target").open("wb") as file:
        file.truncate(100 * GIB)  # holes: nothing is on the disk
    with pytest.raises(TargetError, match="at most 16 MiB"):
        read_target(tmp_path / "cup.target")


def test_ground_truth_without_end(tmp_path: Path) -> None:
    with (tmp_path / "groundtruth.txt").open("wb") as file:
        file.truncate(100 * GIB)
    with pytest.raises(DatasetError, match="larger than 64 MiB"):
        lines_of(tmp_path / "groundtruth.txt")
    with pytest.raises(OSError, match="larger than 1 MiB"):  # a device has no size to ask for
        limits.read_bounded(Path("/dev/zero"), 2**20)


@pytest.mark.parametrize(
    ("line", "box"),
    [
        ("m5,7,4,3,5,2,5", [6.0, 8.0, 2.0, 1.0]),
        ("m0,0,4,3,3,2,7", [0.0, 0.0, 4.0, 2.0]),  # over the end of a row
        ("m0,0,1000000,1000000,1000001,3", [1.0, 1.0, 3.0, 1.0]),
        ("m0,0,1000000,1000000,0,1000000000000000000", [0.0, 0.0, 1e6, 1e6]),
        ("m0,0,4,3,0,0,12", [np.nan] * 4),
    ],
)
def test_a_mask_costs_as_much_as_its_line(line: str, box: list[float]) -> None:
    np.testing.assert_array_equal(region_box(line), box)


def test_a_mask_of_negative_runs_is_refused() -> None:
    with pytest.raises(DatasetError, match="got negative ones"):
        region_box("m0,0,4,3,5,-2,5")


def test_masks_agree_with_their_pixels() -> None:
    """Against the mask itself, drawn."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        w, h = (int(v) for v in rng.integers(1, 7, 2))
        runs = [int(v) for v in rng.integers(0, 6, rng.integers(1, 9))]
        bits = np.repeat(np.arange(len(runs)) % 2, runs)[: w * h]
        mask = np.pad(bits, (0, w * h - len(bits))).reshape(h, w)
        rows, columns = np.nonzero(mask)
        expected = [np.nan] * 4
        if len(rows):
            expected = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        line = "m" + ",".join(map(str, [0, 0, w, h, *runs]))
        np.testing.assert_array_equal(region_box(line), expected, line)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "[" * 100_000),
        ("a.yaml", "[" * 100_000),
        ("a.yaml", "x" * 2**21),
        (
            "a.yaml",  # ten lists of ten lists of ...: a text of 10^10 words in 400 bytes
            "a0: &a0 [x]\n"
            + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 11)),
        ),
        ("b.yaml", "- &a [x]\n- &b [" + "*a, " * 9 + "*a]\n"),
    ],
)
def test_settings_without_end(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    options = SimpleNamespace(config=str(tmp_path / name), set=[])
    began = time.monotonic()
    with pytest.raises(OptionError) as error:
        tracker_config(options)  # type: ignore[arg-type]
    assert len(str(error.value)) < 10_000 and time.monotonic() - began < 20


def test_a_checkpoint_of_another_kind_runs_nothing(tmp_path: Path) -> None:
    """A pickle that would write a file when loaded, whatever reader PyTorch has."""
    mark = tmp_path / "mark"
    # GLOBAL io.open, its arguments, REDUCE: written by hand, as nothing here may make pickles.
    body = f"\x80\x02cio\nopen\n(X{{}}{mark}X\x01\0\0\0wtR."
    size = struct.pack("<I", len(str(mark))).decode("latin-1")
    pickled = body.format(size).encode("latin-1")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    for name, content in (("w.pth", buffer.getvalue()), ("old.pth", pickled)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match="which loading would run"):
            load_model(tmp_path / name)
    assert not mark.exists()
    # Where they are carried out the same instructions do write it.
    load = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run([sys.executable, "-c", load, str(tmp_path / "old.pth")], check=True)
    assert mark.exists()
