"""Train from shards by URL: read once from front to end, never stored, nothing drawn at random.

Which shards a process reads, in which order, and which pair each sample gives follow from seed,
epoch and process alone, so that a stopped run goes on with the pairs it would have had.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, default_collate, get_worker_info

from dcfst_training.datasets.clips import Clip, DatasetLayoutError, set_of
from dcfst_training.datasets.images import UnreadableFrameError
from dcfst_training.notices import warn_once
from dcfst_training.pair_sampling import draw_frames
from dcfst_training.pairs import CropOptions, Example, make_example
from dcfst_training.shards import (
    INDEX,
    ShardIndex,
    check_data,
    extension,
    parse_window,
    report_missing,
    window_clip,
)
from dcfst_training.splits import Side, Split

log = logging.getLogger(__name__)
SHUFFLE_BUFFER = 100
"""Samples held in memory to be shuffled; the shards are shuffled already."""
MOST_EMPTY_PASSES = 20
MOST_COPIES = 8
"""How often one sample is used in a pass at most, each time with other frames and crops."""


def is_url(place: str) -> bool:
    """Whether shards are read by URL and not from a local folder."""
    return "://" in place or place.startswith("pipe:")


@dataclass(frozen=True)
class RemoteShards:
    """The shards below a URL: `https://…/folder`, `s3://…`, `gs://…`, `file:///…`."""

    base: str
    index: ShardIndex

    @classmethod
    def open(cls, url: str) -> RemoteShards:
        """Read the index; raises DatasetLayoutError when it cannot be read."""
        base = url.rstrip("/").removesuffix(f"/{INDEX}")
        source = f"{base}/{INDEX}"
        import webdataset as wds

        try:
            with wds.gopen(source) as stream:
                text = stream.read()
        except OSError as error:
            raise DatasetLayoutError(
                f"--data.shards: expected the index of a shard set at {source}; {error}"
            ) from error
        index = ShardIndex.parse(text, source)
        if not index.shards:
            raise DatasetLayoutError(f"--data.shards: expected shards in {source}; it names none")
        return cls(base, index)

    def copies(self, weights: dict[str, float]) -> dict[str, float]:
        """How often a sample of each data set is used in a pass, for these weights.

        `weights`: by a set's name, or its group's. As many in all as there are, but at most
        `MOST_COPIES` of one: a set of a few clips cannot fill a large share of a stream.
        """
        samples = self.index.samples
        shares = {}
        for name in samples:
            group, share = self.index.share_of(name)
            shares[name] = share * weights.get(name, weights.get(group, 1.0))
        total, whole = sum(samples.values()), sum(shares.values())
        if not whole:
            return {}
        found = {name: shares[name] / whole * total / samples[name] for name in samples}
        for name in sorted(found):
            if found[name] > MOST_COPIES:
                log.warning(
                    "%s has %s of %s packed samples, too few for its weight: each is used %s "
                    "times in place of %.0f; give --data.weights, or train from a local folder",
                    *(name, samples[name], total, MOST_COPIES, found[name]),
                )
                found[name] = float(MOST_COPIES)
        return found

    def split(self, every: int, sets: Sequence[str]) -> Split:
        """Which clips are held out; SettingsError for a name in `sets` that no data set has."""
        several = self.index.settings.get("in_several_sets", {})
        shared = (origin for origin, names in several.items() if set(names) & set(sets))
        return Split.among(self.index.settings.get("sets", {}), every, sets, shared)


@dataclass
class ShardStream(IterableDataset[Example]):
    """Batches of examples from one process's part of the shards.

    `seed`: of the order and of the pairs, such as (seed, epoch). `part`, `parts`: which process
    of how many. `streams`: orders that are read side by side, one for each loader process; batch b
    comes from stream b % streams. `start`: batches of the epoch that are done already.
    `side`: which part of `split`; everything without one. `copies`: how often a sample of a data
    set is used (`RemoteShards.copies`), once where it is not named.
    """

    shards: RemoteShards
    options: CropOptions
    batch_size: int
    batches: int
    seed: tuple[int, ...]
    part: int = 0
    parts: int = 1
    streams: int = 1
    max_gap: int = 100
    split: Split | None = None
    side: Side = "train"
    copies: dict[str, float] = field(default_factory=dict)
    start: int = 0

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Example]:
        worker = get_worker_info()
        which, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        if workers != self.streams:
            raise ValueError(f"expected {self.streams} loader processes; there are {workers}")
        # After a resume worker 0 gives the first batch, whichever stream's turn it is.
        first = self.start + which
        stream = first % self.streams
        wanted = len(range(first, self.batches, self.streams))
        return self._batches(stream, first // self.streams, wanted)

    def _batches(self, stream: int, skip: int, wanted: int) -> Iterator[Example]:
        clips = enumerate(self._clips(stream))
        for _ in range(skip * self.batch_size):
            next(clips)
        for _ in range(wanted):
            examples = []
            while len(examples) < self.batch_size:
                number, clip = next(clips)
                rng = np.random.default_rng([*self.seed, self.part, stream, number])
                pair = draw_frames(clip, self.max_gap, rng)
                assert pair is not None, "_clips yields clips with a visible target only"
                examples.append(make_example(pair, self.options, rng))
            yield default_collate(examples)

    def _clips(self, stream: int) -> Iterator[Clip]:
        """Whole samples without end, pass after pass over this stream's shards."""
        import webdataset as wds

        empty = 0
        for turn in count():
            mine = self._shards_of(stream, turn)
            empty += 1
            rng = random.Random(f"{self.seed} {turn} {self.part} {stream}")
            read = self._repeated(self._read(mine), turn, stream)
            for clip in wds.shuffle(SHUFFLE_BUFFER, rng=rng)(read):
                empty = 0
                yield clip
            # A few shards may well hold no clip that is held out; the next pass has others.
            if empty == MOST_EMPTY_PASSES:
                raise RuntimeError(
                    f"{empty} passes over shards of {self.shards.base} gave no sample (the last "
                    f"ones: {', '.join(mine[:5])}); see the warnings above"
                )

    def _repeated(self, clips: Iterator[Clip], turn: int, stream: int) -> Iterator[Clip]:
        rng = random.Random(f"{self.seed} {turn} {self.part} {stream} copies")
        for clip in clips:
            for _ in range(int(self.copies.get(set_of(clip.name), 1.0) + rng.random())):
                yield clip

    def _shards_of(self, stream: int, turn: int) -> list[str]:
        """What a stream reads in one pass: its share of the shards, or all where they are few."""
        names = sorted(self.shards.index.shards)
        random.Random(f"{self.seed} {turn}").shuffle(names)
        place, places = self.part * self.streams + stream, self.parts * self.streams
        if len(names) >= places:
            return names[place::places]
        random.Random(f"{self.seed} {turn} {place}").shuffle(names)
        return names

    def _read(self, names: list[str]) -> Iterator[Clip]:
        import webdataset as wds

        for name in names:
            url = f"{self.shards.base}/{name}"
            found, problems = 0, []

            def note(error: Exception, problems: list[str] = problems) -> bool:
                problems.append(str(error))
                return True

            for sample in wds.tarfile_to_samples(handler=note)(iter([{"url": url}])):
                if "json" not in sample:
                    continue  # the last one of a shard that was cut short
                found += 1
                clip = self._clip(sample, f"{url}/{sample['__key__']}")
                if clip is not None:
                    yield clip
            if found != self.shards.index.shards[name]:
                expected = self.shards.index.shards[name]
                report_missing(url, found, expected, "; ".join(problems))

    def _clip(self, sample: dict[str, Any], name: str) -> Clip | None:
        """A sample's clip, if it is whole, of the wanted part and shows its target."""
        try:
            window = parse_window(sample["json"], f"{name}.json")
            if self.split and self.split.side(set_of(window.clip), window.origin) != self.side:
                return None
            for number, crc32 in enumerate(window.crc32):
                kind = extension(number)
                check_data(sample.get(kind, b""), crc32, f"{name}.{kind}")
        except UnreadableFrameError as error:
            warn_once(log, f"skipped a sample: {error}")
            return None
        clip = window_clip(window, name, sample)
        return clip if clip.visible.any() else None


class StreamLoader(DataLoader[Example]):
    """A loader of a stream whose position in the epoch is kept in checkpoints."""

    def __init__(self, stream: ShardStream, batches_done: Any, **options: Any) -> None:
        self.batches_done = batches_done
        super().__init__(stream, batch_size=None, **options)

    def state_dict(self) -> dict[str, int]:
        """How many batches of the epoch are done."""
        return {"batches": self.batches_done()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after so many batches."""
        assert isinstance(self.dataset, ShardStream)
        self.dataset.start = state["batches"]
