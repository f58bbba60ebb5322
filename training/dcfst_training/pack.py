"""Pack data sets into tar shards of crops around the targets, to train from disks or by URL.

A crop holds the target with as much around it as training may ask for, at the resolution that
training uses. Ctrl-C or a kill costs at most the shard in work: the same command goes on.
"""

from __future__ import annotations

import json
import logging
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from dcfst_training.datasets.clips import Clip, ClipSet, set_of
from dcfst_training.datasets.images import UnreadableFrameError
from dcfst_training.errors import SettingsError, WriteError
from dcfst_training.mixture import Source, Sources
from dcfst_training.processes import begin_worker
from dcfst_training.shards import INDEX, ShardIndex, Window, extension

log = logging.getLogger(__name__)
Sample = dict[str, Any]


@dataclass(frozen=True)
class PackOptions:
    """What is packed."""

    shard_mb: float = 512.0
    """Size of a shard, megabytes; a shard ends with the clip that exceeds it."""
    frames_per_window: int = 8
    """Frames of a sample, spread over a window."""
    window: int = 100
    """Frames of a clip that a sample spans: the largest gap of a pair (paper: 100)."""
    windows_per_clip: int = 8
    """Most windows of a clip, spread over it."""
    context: float = 10.5
    """Side of a crop / the target's size; the usual training crops reach up to 10.3."""
    target_px: float = 72.0
    """Size sqrt(w * h) that larger targets are reduced to; training needs 58 (288 / 5)."""
    quality: int = 90
    """JPEG quality."""
    seed: int = 0
    """Of the order of the clips and the choice of frames."""


def crop_window(clip: Clip, frames: NDArray[np.int64], options: PackOptions) -> Sample | None:
    """One sample of the given frames; unreadable frames are reported and left out."""
    crops, boxes, used = [], [], []
    for frame in frames:
        try:
            data, box = _crop(clip, int(frame), options)
        except UnreadableFrameError as error:
            log.warning("left out frame %s of %s: %s", frame, clip.name, error)
            continue
        crops.append(data)
        boxes.append([round(value, 2) for value in box])
        used.append(int(frame))
    if not used:
        return None
    checksums = [zlib.crc32(data) for data in crops]
    numbers = used if clip.numbers is None else [int(clip.numbers[frame]) for frame in used]
    window = Window(
        *(clip.name, numbers, boxes, [True] * len(used), checksums, clip.origin, clip.exact)
    )
    members = {extension(number): data for number, data in enumerate(crops)}
    return {**members, "json": json.dumps(asdict(window)).encode()}


def _crop(clip: Clip, frame: int, options: PackOptions) -> tuple[bytes, list[float]]:
    image = clip.read(frame)
    height, width = image.shape[:2]
    x, y, w, h = clip.boxes_xywh[frame]
    half = options.context * math.sqrt(w * h) / 2
    # Cut at the image's border: there training repeats the border's pixels, as it does online.
    left, right = _span(x + w / 2, half, width)
    top, bottom = _span(y + h / 2, half, height)
    piece = image[top:bottom, left:right]
    scale = min(1.0, options.target_px / math.sqrt(w * h))
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    if scale < 1:
        piece = cv2.resize(piece, size, interpolation=cv2.INTER_AREA)
    sx, sy = size[0] / (right - left), size[1] / (bottom - top)
    quality = [cv2.IMWRITE_JPEG_QUALITY, options.quality]
    _, data = cv2.imencode(".jpg", piece[..., ::-1], quality)
    return data.tobytes(), [(x - left) * sx, (y - top) * sy, w * sx, h * sy]


def _span(centre: float, half: float, size: int) -> tuple[int, int]:
    low = min(max(math.floor(centre - half), 0), size - 1)
    return low, max(min(math.ceil(centre + half), size), low + 1)


class _Windows(Dataset[list[Sample]]):
    """All samples of clip `index`, in shuffled order of the clips of all sets."""

    def __init__(self, sets: list[ClipSet], options: PackOptions) -> None:
        self.sets, self.options = sets, options
        number = np.concatenate([np.full(len(part), i) for i, part in enumerate(sets)])
        clip = np.concatenate([np.arange(len(part)) for part in sets])
        # Shuffled, so that every shard is a mixture and streaming needs a small buffer only.
        order = np.random.default_rng(options.seed).permutation(len(number))
        self.places = np.stack((number, clip), axis=1)[order]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> list[Sample]:
        number, which = (int(value) for value in self.places[index])
        rng = np.random.default_rng([self.options.seed, index])
        try:
            clip = self.sets[number].clip(which)
        except UnreadableFrameError as error:
            log.warning("left out a clip of %s: %s", self.sets[number].name, error)
            return []
        samples = [crop_window(clip, frames, self.options) for frames in self._choose(clip, rng)]
        return [sample for sample in samples if sample]

    def _choose(self, clip: Clip, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        options = self.options
        starts = np.arange(0, len(clip.frames), options.window)
        visible = np.flatnonzero(clip.visible)
        windows = [visible[(visible >= s) & (visible < s + options.window)] for s in starts]
        windows = [window for window in windows if len(window)]
        kept = min(len(windows), options.windows_per_clip)
        for place in np.linspace(0, len(windows) - 1, kept).round().astype(int):
            window = windows[place]
            count = min(options.frames_per_window, len(window))
            yield np.sort(rng.choice(window, count, replace=False))


def pack(
    sources: Sequence[Source], out: Path, options: PackOptions, workers: int = 0
) -> ShardIndex:
    """Write the shards and their index; goes on with a set that was not finished.

    Raises SettingsError when the folder holds shards of other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    settings = asdict(options) | {
        "sets": {
            source.clips.name: {
                "clips": len(source.clips),
                "group": source.group,
                "share": source.share,
            }
            for source in sources
        },
        "in_several_sets": _in_several_sets(sources),
    }
    index = _begin(out / INDEX, settings)
    windows = _Windows([source.clips for source in sources], options)
    left = range(index.clips_done, len(windows))
    loader = DataLoader(
        windows,
        batch_size=None,
        sampler=left,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=begin_worker,
    )
    progress = tqdm(loader, desc="packing", unit="clip", initial=left.start, total=len(windows))
    clips = iter(progress)
    while index.clips_done < len(windows):
        try:
            _write_shard(clips, out, index, options.shard_mb * 1e6)
            index.complete = index.clips_done >= len(windows)
            _replace(out / INDEX, index.text())
        except OSError as error:
            for unfinished in out.glob("*.unfinished"):
                unfinished.unlink(missing_ok=True)
            raise WriteError(
                f"expected room for a shard of {options.shard_mb:g} MB in {out}; "
                f"{error.strerror or error}: make room, the same command goes on"
            ) from error
    return index


def _in_several_sets(sources: Sequence[Source]) -> dict[str, list[str]]:
    """The images and videos that more than one set shows, with the sets, for `Split.shared`."""
    found: dict[str, list[str]] = {}
    for source in sources:
        for origin in {source.clips.origin(index) for index in range(len(source.clips))}:
            found.setdefault(origin, []).append(source.clips.name)
    return {origin: found[origin] for origin in sorted(found) if len(found[origin]) > 1}


def _write_shard(
    clips: Iterator[list[Sample]], out: Path, index: ShardIndex, most_bytes: float
) -> None:
    """Fill one shard with whole clips, and enter it into the index once it is on the disk."""
    import webdataset as wds

    file_name = f"shard-{len(index.shards):06d}.tar"
    unfinished = out / f"{file_name}.unfinished"
    samples = done = 0
    of_set: dict[str, int] = {}
    # One fixed time for all members: the same data then give the same bytes.
    with unfinished.open("wb") as file, wds.TarWriter(file, encoder=False, mtime=0.0) as writer:
        for clip in clips:
            for sample in clip:
                writer.write({"__key__": f"{len(index.shards):06d}-{samples:06d}", **sample})
                samples += 1
                name = set_of(json.loads(sample["json"])["clip"])
                of_set[name] = of_set.get(name, 0) + 1
            done += 1
            if file.tell() >= most_bytes:
                break
    os.replace(unfinished, out / file_name)
    index.clips_done += done
    index.shards[file_name] = samples
    for name, count in of_set.items():
        index.samples[name] = index.samples.get(name, 0) + count


def _begin(path: Path, settings: dict[str, Any]) -> ShardIndex:
    if not path.is_file():
        return ShardIndex(settings)
    index = ShardIndex.parse(path.read_bytes(), str(path))
    if index.settings != json.loads(json.dumps(settings)):
        changed = [name for name in settings if index.settings.get(name) != settings[name]]
        raise SettingsError(
            f"expected an empty folder or the same settings; {path} was packed with other "
            f"{', '.join(changed)}: choose another folder or remove that one"
        )
    return index


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text)
    os.replace(unfinished, path)


def _as_it_is(item: list[Sample]) -> list[Sample]:
    return item


def main(arguments: list[str]) -> None:
    """Entry point of `dcfst-train pack`."""
    from jsonargparse import ActionConfigFile, ArgumentParser

    parser = ArgumentParser(prog="dcfst-train pack", description=__doc__)
    parser.add_argument("--config", action=ActionConfigFile, help="YAML file of these settings")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--workers", type=int, default=4, help="processes that read and crop")
    parser.add_class_arguments(Sources, "data")
    parser.add_class_arguments(PackOptions, "pack")
    chosen = parser.instantiate_classes(parser.parse_args(arguments))
    try:
        index = pack(chosen.data.open(), chosen.out, chosen.pack, chosen.workers)
    except KeyboardInterrupt:
        print(f"stopped; the shards in {chosen.out} are whole, the same command goes on")
        raise SystemExit(130) from None
    print(f"wrote {sum(index.shards.values())} samples in {len(index.shards)} shards")
