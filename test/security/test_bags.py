"""Bags from elsewhere: lengths and sizes that lie, messages cut short, names that lead outside."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags")

from lz4.frame import compress as lz4
from rosbags.rosbag2 import StoragePlugin, Writer

from dcfst_core.media import mcap_recovery
from dcfst_core.media.bags import BagError, ImageBag, message_types
from dcfst_core.media.mcap_recovery import MAGIC, RecoveredMcap, has_whole_index, zstd

TYPES = message_types()
TOPIC, KIND = "/cam/image_raw", "sensor_msgs/msg/Image"
DATA_END = 0x0F


def image() -> bytes:
    make = TYPES.types
    header = make["std_msgs/msg/Header"](make["builtin_interfaces/msg/Time"](1, 2), "camera")
    message = make[KIND](header, 4, 4, "rgb8", 0, 12, np.zeros(48, np.uint8))
    return bytes(TYPES.serialize_cdr(message, KIND))


def write(path: Path, *messages: bytes) -> Path:
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        images = writer.add_connection(TOPIC, KIND, typestore=TYPES)
        for index, data in enumerate(messages, start=1):
            writer.write(images, index, data)
    return path


def the_file(folder: Path) -> Path:
    (path,) = folder.glob("*.mcap")
    return path


def chunk(length: int, packed: bytes, compression: bytes) -> bytes:
    """A chunk's record that says it unpacks to `length` bytes."""
    body = struct.pack("<QQQI", 0, 0, length, 0) + struct.pack("<I", len(compression))
    body += compression + struct.pack("<Q", len(packed)) + packed
    return b"\x06" + struct.pack("<Q", len(body)) + body


@pytest.mark.parametrize("length", [2**40, 2**62, 2**64 - 1])
def test_a_chunk_whose_length_is_damaged(length: int, tmp_path: Path) -> None:
    """The length is what a cut or a flipped bit leaves; the rest of the bag is read."""
    path = the_file(write(tmp_path / "bag", image(), image()))
    with path.open("rb") as file:
        records = list(mcap_recovery._records(file, path.stat().st_size))
    end = next(record.start for record in records if record.code == DATA_END)
    broken = path.read_bytes()[:end] + b"\x06" + struct.pack("<Q", length) + b"x" * 100
    (tmp_path / "broken.mcap").write_bytes(broken)
    with ImageBag(tmp_path / "broken.mcap", TOPIC) as bag:
        assert bag.image_count == 2 and bag.first_image().width == 4
        assert not bag.complete


@pytest.mark.parametrize("honest", [True, False])
@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_chunk_that_swells_is_not_unpacked(
    compression: str, honest: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it says what it becomes or not."""
    monkeypatch.setattr(mcap_recovery, "MOST_CHUNK_BYTES", 2**20)
    content = bytes(2**24)
    packed = zstd.compress(content) if compression == "zstd" else lz4(content)
    assert len(packed) < 2**17
    record = chunk(2**24 if honest else 100, packed, compression.encode())
    end = b"\x0f" + struct.pack("<QI", 4, 0) + b"\x02" + struct.pack("<QQQI", 20, 0, 0, 0) + MAGIC
    (tmp_path / "bomb.mcap").write_bytes(MAGIC + record + end)
    assert not has_whole_index(tmp_path / "bomb.mcap")
    recovered = RecoveredMcap(tmp_path / "bomb.mcap")
    assert "1 damaged chunks" in recovered.lost
    assert sum(len(p) if isinstance(p, bytes) else p[1] - p[0] for p in recovered._parts) < 1000


@pytest.mark.parametrize("length", [0, 1, 5, 11])
def test_a_message_too_short_for_its_header(length: int, tmp_path: Path) -> None:
    path = write(tmp_path / "bag", image()[:length], image())
    with ImageBag(path, TOPIC) as bag, pytest.raises(BagError, match=f"one of {length} bytes"):
        _ = bag.fps


def test_an_image_that_says_it_is_longer_than_the_message(tmp_path: Path) -> None:
    whole = image()
    place = len(whole) - 48 - 4
    assert struct.unpack_from("<I", whole, place) == (48,)
    for claimed in (49, 2**31, 2**32 - 1):
        lying = whole[:place] + struct.pack("<I", claimed) + whole[place + 4 :]
        path = write(tmp_path / f"bag{claimed}", lying)
        with ImageBag(path, TOPIC) as bag, pytest.raises(BagError, match="reading it failed"):
            bag.first_image()


@pytest.mark.parametrize("name", ["../secret.mcap", "{outside}"])
def test_metadata_cannot_name_a_file_outside_of_the_bag(name: str, tmp_path: Path) -> None:
    secret = the_file(write(tmp_path / "other", image())).rename(tmp_path / "secret.mcap")
    bag = write(tmp_path / "bag", image(), image())
    metadata = bag / "metadata.yaml"
    own = the_file(bag).name
    metadata.write_text(metadata.read_text().replace(own, name.format(outside=secret)))
    opened: list[Any] = []
    with ImageBag(bag, TOPIC) as images:
        opened = [Path(reader.path).resolve() for reader in images._reader.readers]
        assert images.image_count == 2  # those of the bag, not the one of the other
        assert all(path.is_relative_to(bag.resolve()) for path in opened)


def test_a_definition_without_an_images_fields_is_refused(tmp_path: Path) -> None:
    """The bag says itself what its messages hold; a byte of that was changed."""
    path = the_file(write(tmp_path / "bag", image()))
    data = path.read_bytes()
    assert b"string encoding" in data
    path.write_bytes(data.replace(b"string encoding", b"string encodinh"))
    with ImageBag(tmp_path / "bag", TOPIC) as bag, pytest.raises(BagError, match="encoding"):
        bag.first_image()
