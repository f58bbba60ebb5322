"""Packed training data: tar shards in WebDataset's form, and reading them from a local folder.

A sample is a window of one clip: `<key>.00.jpg`, `<key>.01.jpg`, … are crops around the target and
`<key>.json` its boxes (`Window`). The json comes last, so a sample that has one is whole.
`shards.json` beside the shards lists them with their number of samples.
"""

from __future__ import annotations

import json
import logging
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dcfst_training.datasets.clips import Clip, DatasetLayoutError, origin_of, set_of
from dcfst_training.datasets.images import UnreadableFrameError, decode_image
from dcfst_training.datasets.layouts import wrong_layout
from dcfst_training.datasets.lazy import LazyClips

log = logging.getLogger(__name__)
INDEX = "shards.json"


@dataclass(frozen=True)
class Window:
    """What the json of a sample holds."""

    clip: str
    """Name of the clip, which begins with its data set's name."""
    frames: list[int]
    """Numbers of the frames in the clip, from 0."""
    boxes_xywh: list[list[float]]
    """The target's box in each crop, pixels of the crop."""
    visible: list[bool]
    """Whether the target is in the frame."""
    crc32: list[int]
    """Checksum of each crop's JPEG data."""
    origin: str = ""
    """The image or video that the clip was cut from (`Clip.origin`)."""
    exact: bool = True
    """Whether the boxes are good enough to learn a box's IoU from."""


@dataclass
class ShardIndex:
    """What `shards.json` holds."""

    settings: dict[str, Any]
    """How the crops were made, with `context`: their side / the target's size."""
    shards: dict[str, int] = field(default_factory=dict)
    """Number of samples by file name."""
    clips_done: int = 0
    complete: bool = False
    samples: dict[str, int] = field(default_factory=dict)
    """Number of samples by data set."""

    @classmethod
    def parse(cls, text: str | bytes, source: str) -> ShardIndex:
        """Read an index; raises DatasetLayoutError naming its source."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise DatasetLayoutError(
                f"expected the index of a shard set in {source}; {error}"
            ) from error

    def text(self) -> str:
        """The index as JSON."""
        return json.dumps(asdict(self), indent=1)

    def share_of(self, name: str) -> tuple[str, float]:
        """The group that a data set's weight goes by, and its share of that (`mixture.Source`)."""
        described = self.settings.get("sets", {}).get(name, {})
        if not isinstance(described, dict):  # packed before shares were kept
            return name, 1.0
        return str(described.get("group", name)), float(described.get("share", 1.0))

    def check_context(self, wanted: float, source: str) -> None:
        """Raise DatasetLayoutError when the crops hold less context than training asks for."""
        packed = float(self.settings["context"])
        if wanted > packed + 1e-6:
            raise DatasetLayoutError(
                f"{source}: the crops hold {packed:.1f} times the target's size but --data.crop "
                f"asks for up to {wanted:.1f}; lower shift or scale_sigma, or pack again with "
                f"--context {wanted:.1f}"
            )


def window_clip(window: Window, name: str, data: Mapping[str, bytes]) -> Clip:
    """A sample as a clip; `data` gives each crop's JPEG data by its extension (`00.jpg`)."""

    def read(path: Path) -> NDArray[np.uint8]:
        return decode_image(data[path.name], f"{name}/{path.name}")

    boxes = np.array(window.boxes_xywh, dtype=np.float64).reshape(-1, 4)
    boxes[~np.array(window.visible, dtype=bool)] = np.nan
    frames = tuple(Path(extension(number)) for number in range(len(window.frames)))
    numbers = np.array(window.frames, dtype=np.int64)
    return Clip(
        *(window.clip, frames, boxes, read),
        origin=window.origin,
        exact=window.exact,
        numbers=numbers,
    )


def extension(number: int) -> str:
    """Extension of crop `number` of a sample."""
    return f"{number:02d}.jpg"


def parse_window(text: bytes, name: str) -> Window:
    """The json of a sample; raises UnreadableFrameError."""
    try:
        window = Window(**json.loads(text))
        return replace(window, origin=window.origin or origin_of(window.clip))
    except (ValueError, TypeError) as error:
        raise UnreadableFrameError(f"{name}: expected the json of a sample; {error}") from error


def check_data(data: bytes, crc32: int, name: str) -> None:
    """Raise UnreadableFrameError when data are not those that were packed."""
    if zlib.crc32(data) != crc32:
        raise UnreadableFrameError(f"{name} is corrupt: its checksum is not the packed one's")


Places = dict[str, tuple[int, int]]
"""Offset and size in the shard of each member of a sample, by extension."""


@dataclass(frozen=True)
class Packed:
    """Where a sample lies."""

    shard: Path
    key: str
    places: Places
    clip: str
    """The clip's name."""
    origin: str

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.shard}/{self.key}"


class ShardClips(LazyClips[Packed]):
    """The packed samples of one data set, drawn in any order."""

    def __init__(self, name: str, entries: Sequence[Packed], group: str, share: float) -> None:
        super().__init__(entries)
        self.name, self.group, self.share = name, group, share

    def origin(self, index: int) -> str:
        """What clip `index` was cut from."""
        return self.entries[index].origin

    def name_of(self, entry: Packed) -> str:
        """The name of the clip that was packed."""
        return entry.clip

    def load(self, entry: Packed) -> Clip:
        """One sample; raises UnreadableFrameError."""
        text = _member(entry.shard, *entry.places["json"])
        window = parse_window(text, f"{entry.name}.json")
        missing = {extension(number) for number in range(len(window.frames))} - set(entry.places)
        if missing:
            raise UnreadableFrameError(f"{entry.name}: expected {', '.join(sorted(missing))}")
        return window_clip(window, entry.name, _Members(entry, window))


def open_shards(root: str | Path, context: float = 0.0) -> list[ShardClips]:
    """The data sets in the shards of a local folder, with the shares they were packed with.

    `context`: side of the largest crop that training takes / the target's size. A shard that is
    missing, cut short or damaged is reported with how many of its samples are left. Raises
    DatasetLayoutError when there is no index or no sample.
    """
    root = Path(root)
    if not (root / INDEX).is_file():
        raise wrong_layout(root, "shards", f"{INDEX} beside the *.tar files")
    index = ShardIndex.parse((root / INDEX).read_bytes(), str(root / INDEX))
    index.check_context(context, str(root))
    if not index.complete:
        log.warning("%s: packing was not finished; `dcfst-train pack` goes on with it", root)
    sets: dict[str, list[Packed]] = {}
    for file, expected in tqdm(
        index.shards.items(), desc=f"shards in {root}", unit="shard", disable=None
    ):
        found, problem = scan_shard(root / file)
        if len(found) != expected:
            report_missing(str(root / file), len(found), expected, problem)
        for entry in found:
            sets.setdefault(set_of(entry.clip), []).append(entry)
    if not sets:
        raise DatasetLayoutError(f"expected samples in the shards of {root}; found none")
    return [ShardClips(name, sets[name], *index.share_of(name)) for name in sorted(sets)]


class _Members(Mapping[str, bytes]):
    """The crops of a sample, read from the shard when asked for."""

    def __init__(self, entry: Packed, window: Window) -> None:
        self.entry, self.window = entry, window

    def __getitem__(self, name: str) -> bytes:
        data = _member(self.entry.shard, *self.entry.places[name])
        crc32 = self.window.crc32[int(name.split(".")[0])]
        check_data(data, crc32, f"{self.entry.name}.{name}")
        return data

    def __len__(self) -> int:
        return len(self.entry.places)

    def __iter__(self) -> Any:
        return iter(self.entry.places)


def scan_shard(path: Path) -> tuple[list[Packed], str]:
    """The whole samples of a shard, and what stopped the reading, if anything did."""
    places: dict[str, Places] = {}
    found: list[Packed] = []
    problem = ""
    try:
        with tarfile.open(path, "r:") as shard:
            for member in shard:
                key, _, kind = member.name.partition(".")
                places.setdefault(key, {})[kind] = (member.offset_data, member.size)
                if kind == "json":
                    file = shard.extractfile(member)
                    try:
                        window = parse_window(file.read() if file else b"", member.name)
                    except UnreadableFrameError as error:
                        problem = str(error)
                        continue
                    found.append(Packed(path, key, places.pop(key), window.clip, window.origin))
    except (OSError, tarfile.TarError) as error:
        problem = str(error)
    return found, problem


def report_missing(shard: str, found: int, expected: int, problem: str) -> None:
    """Say how much of a shard is left."""
    log.warning(
        "%s is cut short or damaged%s: %s of its %s samples are used, the others skipped",
        *(shard, f" ({problem})" if problem else "", found, expected),
    )


def _member(shard: Path, offset: int, size: int) -> bytes:
    try:
        with shard.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise UnreadableFrameError(f"{shard}: {error}") from error
