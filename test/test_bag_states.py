"""`dcfst bag` on bags as they are left behind: without metadata or index, cut, with odd stamps."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("rosbags")

from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer

from dcfst_core.cli.main import main
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.bags import ImageBag, message_types
from dcfst_core.media.image_messages import to_rgb
from dcfst_core.media.mcap_recovery import MAGIC
from dcfst_core.media.video import open_frames

CLIP = list(SyntheticClip(frames=12, size=(160, 120), target=(24, 30), period=60))
BOX = ",".join(
    f"{v:.1f}" for v in SyntheticClip(12, (160, 120), (24, 30), period=60).boxes_xywh()[0]
)
T0, STEP = 1_700_000_000_000_000_000, 40_000_000
TOPIC, KIND = "/cam/image_raw", "sensor_msgs/msg/Image"
STORAGES = [StoragePlugin.MCAP, StoragePlugin.SQLITE3]
TYPES = message_types()


def image(frame: np.ndarray, stamp_ns: int) -> bytes:
    make = TYPES.types
    stamp = make["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
    header = make["std_msgs/msg/Header"](stamp, "camera")
    height, width = frame.shape[:2]
    message = make[KIND](header, height, width, "rgb8", 0, 3 * width, frame.reshape(-1))
    return bytes(TYPES.serialize_cdr(message, KIND))


def write(
    path: Path,
    stamps: list[int],
    storage: StoragePlugin = StoragePlugin.MCAP,
    early_s: float = 0,
    first: int = 0,
) -> Path:
    """A bag of the images from `first` on with those stamps.

    With `early_s` another topic began so much earlier.
    """
    with Writer(path, version=8, storage_plugin=storage) as writer:
        images = writer.add_connection(TOPIC, KIND, typestore=TYPES)
        if early_s:
            text = "std_msgs/msg/String"
            chat = writer.add_connection("/chat", text, typestore=TYPES)
            data = TYPES.serialize_cdr(TYPES.types[text]("x"), text)
            writer.write(chat, T0 - round(early_s * 1e9), data)
        for index, stamp_ns in enumerate(stamps, start=first):
            writer.write(images, T0 + index * STEP, image(CLIP[index], stamp_ns))
    return path


RISING = [T0 + i * STEP for i in range(12)]


@pytest.fixture
def follow(untrained: str, small: list[str], tmp_path: Path) -> Any:
    threads = torch.get_num_threads()

    def run(bag: Path, *arguments: str) -> int:
        command = ["bag", str(bag), "--image-topic", TOPIC, "--init", BOX, "--quiet"]
        return main([*command, *arguments, "--weights", untrained, *small, "--device", "cpu"])

    yield run
    torch.set_num_threads(threads)


def tracked(path: Path) -> list[int]:
    """Stamps of the images with tracks, and a check that the bag is whole."""
    with AnyReader([path]) as reader:
        chosen = [c for c in reader.connections if c.topic == "/tracker/tracks"]
        found = [reader.deserialize(d, c.msgtype) for c, _, d in reader.messages(chosen)]
    return [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in found]


@pytest.mark.parametrize(
    ("stamps", "expected_fps"),
    [
        (RISING, 25),
        ([T0 + i * 10_000_000 for i in range(12)], 100),
        ([T0 + i * 250_000_000 for i in range(12)], 4),
        ([T0 + round(i * 1e9 / 211.222) for i in range(12)], 211.222),
        ([T0 + i * STEP + (10**12 if i < 3 else 0) for i in range(12)], 25),  # a clock set back
        ([T0 + [0, 2, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11][i] * STEP for i in range(12)], 25),
    ],
)
def test_the_video_has_the_images_own_rate(
    stamps: list[int], expected_fps: float, follow: Any, tmp_path: Path
) -> None:
    """However early another topic began, and whatever the clock did."""
    bag = write(tmp_path / "bag", stamps, early_s=4)
    for suffix in ("mp4", "avi"):
        video = tmp_path / f"v.{suffix}"
        assert follow(bag, "--video", str(video), "--out", str(tmp_path / suffix)) == 0
        with open_frames(video) as source:
            frames = list(source.timed())
        assert len(frames) == 12
        assert np.median(np.diff([f.time_s for f in frames])) == pytest.approx(
            1 / expected_fps, rel=0.01
        )


@pytest.mark.parametrize("index", [0, 1, 2, 3, 7, 11])
@pytest.mark.parametrize("order", ["swapped", "set back", "set forward", "rising"])
def test_any_stamp_that_is_there_is_found(order: str, index: int, tmp_path: Path) -> None:
    stamps = list(RISING)
    if order == "swapped":
        stamps[1], stamps[2] = stamps[2], stamps[1]
    elif order == "set back":
        stamps = [s + (10**12 if i < 3 else 0) for i, s in enumerate(stamps)]
    elif order == "set forward":
        stamps = [s + (10**12 if i >= 3 else 0) for i, s in enumerate(stamps)]
    with ImageBag(write(tmp_path / "bag", stamps), TOPIC) as bag:
        found = bag.image_near(stamps[index], 5_000_000)
        assert found.header.stamp.sec * 10**9 + found.header.stamp.nanosec == stamps[index]
        near = bag.image_near(stamps[index] + 4_000_000, 5_000_000)
        np.testing.assert_array_equal(to_rgb(near), CLIP[index])


def data_file(bag: Path) -> Path:
    (path,) = [p for p in bag.iterdir() if p.suffix in (".mcap", ".db3")]
    return path


@pytest.mark.parametrize("storage", STORAGES, ids=lambda s: s.name.lower())
@pytest.mark.parametrize(
    "metadata", ["missing", "empty", "broken", "of no topics", "of version 99"]
)
def test_metadata_that_is_missing_or_broken_is_done_without(
    storage: StoragePlugin, metadata: str, follow: Any, tmp_path: Path, capsys: Any
) -> None:
    bag = write(tmp_path / "bag", RISING, storage)
    file = bag / "metadata.yaml"
    text = file.read_text()
    if metadata == "missing":
        file.unlink()
    elif metadata == "of no topics":
        start, end = text.index("topics_with_message_count"), text.index("compression_format")
        file.write_text(text[:start] + "topics_with_message_count: []\n  " + text[end:])
    else:
        content = {"empty": "", "broken": "a: [1, 2", "of version 99": text}[metadata]
        file.write_text(content.replace("version: 8", "version: 99"))
    assert follow(bag) == 0
    assert "the data files are read as they are" in capsys.readouterr().err
    assert tracked(tmp_path / "bag_tracked") == RISING


def records(path: Path) -> list[tuple[int, int, int]]:
    """Code, start and end of each record of an mcap file."""
    data, at, found = path.read_bytes(), len(MAGIC), []
    while at + 9 <= len(data) - len(MAGIC):
        code, length = struct.unpack_from("<BQ", data, at)
        found.append((code, at, at + 9 + length))
        at += 9 + length
    return found


def chunked(path: Path, compression: Any) -> Path:
    """A bag of several chunks: rosbags closes one at each megabyte."""
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        if compression is not None:
            writer.set_compression(compression, Writer.CompressionFormat.ZSTD)
        images = writer.add_connection(TOPIC, KIND, typestore=TYPES)
        for index, stamp_ns in enumerate(RISING):
            large = cv2.resize(CLIP[index], (640, 480))
            writer.write(images, T0 + index * STEP, image(large, stamp_ns))
    return path


@pytest.mark.fault("a bag cut off before its index")
@pytest.mark.parametrize("fault", ["no index", "half an index", "no end", "cut", "cut in a chunk"])
def test_an_mcap_without_a_whole_index_is_read(
    fault: str, follow: Any, tmp_path: Path, capsys: Any
) -> None:
    bag = chunked(tmp_path / "bag", None)
    file = data_file(bag)
    data, parts = file.read_bytes(), records(file)
    chunks = [part for part in parts if part[0] == 0x06]
    assert len(chunks) > 2
    data_end = next(part for part in parts if part[0] == 0x0F)
    if fault == "no index":
        footer = b"\x02" + struct.pack("<QQQI", 20, 0, 0, 0) + MAGIC
        file.write_bytes(data[: data_end[2]] + footer)
    elif fault == "half an index":
        indices = [part for part in parts if part[0] == 0x08]
        cut = bytearray(data)
        for _, start, _ in indices[1:]:
            cut[start] = 0x85  # a private record, which readers pass over
        file.write_bytes(cut)
    elif fault == "no end":
        file.write_bytes(data[: data_end[1]])
    elif fault == "cut":
        file.write_bytes(data[: chunks[2][1]])
    else:
        file.write_bytes(data[: (chunks[2][1] + chunks[2][2]) // 2])
    status = follow(bag)
    errors = capsys.readouterr().err
    found = tracked(tmp_path / "bag_tracked")
    assert found == RISING[: len(found)]
    whole = fault in ("no index", "half an index", "no end")
    assert (len(found) == 12) == whole
    assert len(found) > 2
    assert status == (0 if fault != "cut in a chunk" else 1), errors


def test_a_compressed_chunk_that_is_cut_gives_its_first_messages(
    follow: Any, tmp_path: Path, capsys: Any
) -> None:
    bag = write(tmp_path / "bag", RISING)
    file = data_file(bag)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert follow(bag) == 1
    assert "was cut off or damaged" in capsys.readouterr().err
    found = tracked(tmp_path / "bag_tracked")
    assert 2 < len(found) < 12 and found == RISING[: len(found)]


@pytest.mark.fault("a bag whose database was not closed")
def test_a_database_with_a_journal_gives_its_last_messages(
    follow: Any, tmp_path: Path, capsys: Any
) -> None:
    bag = write(tmp_path / "bag", RISING[:6], StoragePlugin.SQLITE3)
    file = data_file(bag)
    database = sqlite3.connect(file)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    (topic,) = database.execute("SELECT id FROM topics").fetchone()
    for index in range(6, 12):
        row = (topic, T0 + index * STEP, image(CLIP[index], RISING[index]))
        database.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)", row)
    database.commit()
    crashed = tmp_path / "crashed"
    shutil.copytree(bag, crashed)  # as it lies there while the recorder has it open
    database.close()
    assert (crashed / f"{file.name}-wal").stat().st_size > 0
    assert follow(crashed) == 0
    assert "its journal is read too" in capsys.readouterr().err
    assert tracked(tmp_path / "crashed_tracked") == RISING


@pytest.mark.parametrize("storage", STORAGES, ids=lambda s: s.name.lower())
def test_a_bag_in_parts_is_read_without_one_of_them(
    storage: StoragePlugin, follow: Any, tmp_path: Path, capsys: Any
) -> None:
    suffix = ".mcap" if storage is StoragePlugin.MCAP else ".db3"
    bag = write(tmp_path / "bag", RISING[:6], storage)
    second = write(tmp_path / "second", RISING[6:], storage, first=6)
    shutil.copy(data_file(second), bag / f"bag_10{suffix}")
    data_file_name = next(p for p in bag.iterdir() if p.suffix == suffix and "_10" not in p.name)
    data_file_name.rename(bag / f"bag_9{suffix}")
    assert follow(bag) in (0, 1)
    assert len(tracked(tmp_path / "bag_tracked")) == 12
    (bag / f"bag_9{suffix}").unlink()
    assert follow(bag, "--out", str(tmp_path / "rest")) == 1
    assert "missing" in capsys.readouterr().err
    assert len(tracked(tmp_path / "rest")) == 6


@pytest.mark.parametrize("content", [b"", b"hello" * 99, MAGIC, b"\x00" * 5000])
@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_what_is_no_bag_has_its_reason(
    suffix: str, content: bytes, follow: Any, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / f"x{suffix}").write_bytes(content)
    assert follow(tmp_path / f"x{suffix}") == 1
    assert "expected a whole rosbag2" in capsys.readouterr().err
    assert not (tmp_path / "x_tracked").exists()


@pytest.mark.parametrize("storage", STORAGES, ids=lambda s: s.name.lower())
def test_nothing_is_written_into_the_bag_that_is_read(
    storage: StoragePlugin, follow: Any, tmp_path: Path, capsys: Any
) -> None:
    bag = write(tmp_path / "bag", RISING, storage)
    before = {p: p.read_bytes() for p in bag.iterdir()}
    assert follow(data_file(bag)) == 0
    assert tracked(tmp_path / "bag_tracked") == RISING
    for name, option in (("v.mp4", "--video"), ("s.png", "--sheet"), ("new", "--out")):
        assert follow(data_file(bag), option, str(bag / name)) == 1
        assert "lies in the input" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in bag.iterdir()} == before
    assert follow(bag, "--out", str(tmp_path / "new.mcap")) == 1
    assert "a rosbag2 is a folder" in capsys.readouterr().err
