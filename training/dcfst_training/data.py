"""The data module: which sets, with which weights, become which training pairs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset, Subset

from dcfst_training.checkpointing import ResumableLoader
from dcfst_training.datasets.clips import ClipList
from dcfst_training.errors import SettingsError
from dcfst_training.mixture import FLAGS, Source, Sources, shard_folders, weigh
from dcfst_training.pair_sampling import PairSampler
from dcfst_training.pairs import CropOptions, Example, PairDataset
from dcfst_training.pasting import CutoutBank
from dcfst_training.processes import begin_worker
from dcfst_training.shard_stream import RemoteShards, ShardStream, StreamLoader, is_url
from dcfst_training.splits import Part, Side, Split

VALIDATED: tuple[Side, ...] = ("held_out", "held_out_sets")


class PairDataModule(L.LightningDataModule):
    """Training pairs from any mixture of data sets.

    Args:
        got10k: folder of GOT-10k, which holds `train/`.
        lasot: folder of LaSOT, which holds the classes.
        trackingnet: folder of TrackingNet, which holds `TRAIN_0` to `TRAIN_11`.
        trackingnet_sets: numbers of TrackingNet's sets to use; None for all that are there.
        coco: folder of COCO, which holds `annotations/`; each object gives pairs from one image.
        coco_split: which of COCO's splits.
        masks: folder of DAVIS or YouTube-VOS, which holds `JPEGImages/` and `Annotations/`.
        video_folders: folder of sets of videos in OTB layout, `<set>/<sequence>/img/*.jpg`.
        still_folders: folder of sets of stills, `<set>/images/*` with `<set>/boxes.json`.
        synthetic: number of drawn clips; 0 for none.
        shards: what `dcfst-train pack` wrote: local folders, read in any order beside the other
            sets, or a URL (`https://…`, `s3://…`), streamed and then the only source.
        weights: share of each set by name (`got10k`, `lasot`, `trackingnet`, `coco`, `masks`,
            `synthetic`, a folder of videos or stills by its own name, `stills` for all stills
            together), packed or not; 1 for a set that is not named.
        max_gap: largest distance of a pair, stored frames (paper: 100).
        batch_size: pairs a step, on each process.
        pairs_per_epoch: pairs that count as one epoch, on each process.
        validation_pairs: held-out pairs, the same in every epoch.
        holdout_every: about every n-th image or video is held out for validation.
        holdout_sets: names of sets that are held out whole, for the curves `val_sets/…`.
        workers: loader processes.
        seed: of the pairs and their augmentation.
        crop: how pairs are cropped and augmented.
    """

    def __init__(
        self,
        got10k: str | None = None,
        lasot: str | None = None,
        trackingnet: str | None = None,
        trackingnet_sets: list[int] | None = None,
        coco: str | None = None,
        coco_split: str = "train2017",
        masks: str | None = None,
        video_folders: str | None = None,
        still_folders: str | None = None,
        synthetic: int = 0,
        shards: str | list[str] | None = None,
        weights: dict[str, float] | None = None,
        max_gap: int = 100,
        batch_size: int = 16,
        pairs_per_epoch: int = 2000,
        validation_pairs: int = 128,
        holdout_every: int = 12,
        holdout_sets: list[str] | None = None,
        workers: int = 1,
        seed: int = 0,
        crop: CropOptions | None = None,
    ) -> None:
        super().__init__()
        _check(batch_size, pairs_per_epoch, workers)
        self.save_hyperparameters(ignore=["crop"])
        self.crop = crop or CropOptions()
        self.hparams["crop"] = asdict(self.crop)  # checkpoints hold plain data alone
        self.sources: list[Source] = []
        self.remote: RemoteShards | None = None
        self.split = Split(holdout_every)
        self._samplers: dict[Side, PairSampler] = {}
        self._cutouts: dict[Side, CutoutBank] = {}
        self._copies: dict[str, float] = {}

    def setup(self, stage: str) -> None:
        """Read the sets' indices; DatasetLayoutError or SettingsError when there are none."""
        options = self.hparams
        if self.sources or self.remote:
            return
        held = options.holdout_sets or []
        if any(is_url(place) for place in shard_folders(options.shards)):
            self.remote = self._open_remote()
            self.split = self.remote.split(options.holdout_every, held)
            self._copies = self.remote.copies(options.weights or {})
            return
        sources = Sources(**{name: options[name] for name in Sources.__dataclass_fields__})
        self.sources = sources.open(self.crop.context)
        self.weights = weigh(self.sources, options.weights or {})
        clips = [source.clips for source in self.sources]
        self.split = Split.of(clips, options.holdout_every, held)

    def _open_remote(self) -> RemoteShards:
        options = self.hparams
        url, *more = sorted(shard_folders(options.shards), key=is_url, reverse=True)
        others = [f"--data.{name}" for name in FLAGS if name != "shards" and options[name]]
        if more or others:
            raise SettingsError(
                f"expected --data.shards {url} to be the only source, because it is streamed; got "
                f"also {', '.join([*more, *others])}: pack them together, or copy the shards to "
                "local folders"
            )
        remote = RemoteShards.open(url)
        remote.index.check_context(self.crop.context, url)
        return remote

    def _sampler(self, side: Side) -> PairSampler:
        if side not in self._samplers:
            self._samplers[side] = self._make_sampler(side)
        return self._samplers[side]

    def _make_sampler(self, side: Side) -> PairSampler:
        parts = [
            (Part(source.clips, self.split, side), weight)
            for source, weight in zip(self.sources, self.weights, strict=True)
            if weight > 0
        ]
        parts = [(part, weight) for part, weight in parts if len(part)]
        if not parts:
            raise SettingsError(
                f"expected clips to {'train on' if side == 'train' else 'hold out'} in "
                f"{', '.join(source.clips.name for source in self.sources)}; with "
                f"--data.holdout_every {self.split.every}, --data.holdout_sets "
                f"{list(self.split.sets)} and these --data.weights there are none: give more "
                "data, or choose --data.holdout_every nearer to the number of images and videos"
            )
        clips, weights = zip(*parts, strict=True)
        # Pasted objects come from the side's own images: none is held out and trained on.
        self._cutouts[side] = CutoutBank(
            [
                part.source.clips[index]
                for part, _ in parts
                if isinstance(part.source, ClipList)
                for index in part.indices
            ]
        )
        return PairSampler(clips, weights, self.hparams.max_gap)

    def examples(self, count: int, held_out: bool = False) -> PairDataset | list[Example]:
        """A few examples outside of any epoch, for statistics and pictures."""
        self.setup("fit")
        side: Side = "held_out" if held_out else "train"
        if self.remote:
            stream = ShardStream(
                self.remote, self.crop, 1, count, (2**21,), split=self.split, side=side
            )
            return [{name: value[0] for name, value in one.items()} for one in stream]
        return self._pairs(side, count, (2**21,))

    def _pairs(self, side: Side, count: int, seed: tuple[int, ...]) -> PairDataset:
        sampler = self._sampler(side)
        return PairDataset(sampler, self.crop, count, seed, self._cutouts[side])

    def train_dataloader(self) -> ResumableLoader | StreamLoader:
        """This epoch's pairs: a function of seed, epoch and process, whatever ran before."""
        trainer = self.trainer
        progress = trainer.fit_loop.epoch_loop.batch_progress.current
        if self.remote:
            stream = self._stream((self.hparams.seed, trainer.current_epoch), side="train")
            return StreamLoader(stream, lambda: progress.processed, **self._processes())
        dataset = self._epoch_pairs()
        return ResumableLoader(dataset, lambda: progress.processed, **self._options(dataset))

    def _epoch_pairs(self) -> PairDataset:
        trainer = self.trainer
        seed = (self.hparams.seed, trainer.current_epoch, trainer.global_rank)
        return self._pairs("train", self.hparams.pairs_per_epoch, seed)

    def describe_batch(self, index: int) -> str:
        """The clips and frames of a batch of the current epoch, for messages."""
        if self.remote:
            return f"batch {index} of process {self.trainer.global_rank}"
        pairs, size = self._epoch_pairs(), self.hparams.batch_size
        return ", ".join(pairs.name(number) for number in range(index * size, (index + 1) * size))

    def val_dataloader(self) -> list[DataLoader[Example]]:
        """The held-out pairs, each process its part: by clip, then those of whole sets, if any."""
        return [self._validation(side) for side in VALIDATED[: 1 + bool(self.split.sets)]]

    def _validation(self, side: Side) -> DataLoader[Example]:
        if self.remote:
            stream = self._stream((2**20,), side)
            return DataLoader(stream, batch_size=None, **self._processes())
        dataset = self._pairs(side, self.hparams.validation_pairs, (2**20,))
        mine = range(self.trainer.global_rank, len(dataset), self.trainer.world_size)
        part = Subset(dataset, mine)
        return DataLoader(part, **self._options(part))

    def _stream(self, seed: tuple[int, ...], side: Side) -> ShardStream:
        assert self.remote
        options, trainer = self.hparams, self.trainer
        pairs = options.pairs_per_epoch
        if side != "train":
            pairs = options.validation_pairs // trainer.world_size
        return ShardStream(
            self.remote,
            self.crop,
            batch_size=options.batch_size,
            batches=max(1, pairs // options.batch_size),
            seed=seed,
            part=trainer.global_rank,
            parts=trainer.world_size,
            streams=max(1, options.workers),
            max_gap=options.max_gap,
            split=self.split,
            side=side,
            copies=self._copies,
        )

    def _options(self, dataset: Dataset[Example]) -> dict[str, Any]:
        size = self.hparams.batch_size
        # A last batch that is not full is left out, unless it is the only one.
        full = len(dataset) >= size  # type: ignore[arg-type]
        return {"batch_size": size, "drop_last": full, **self._processes()}

    def _processes(self) -> dict[str, Any]:
        return {
            "num_workers": self.hparams.workers,
            "worker_init_fn": begin_worker,
            "pin_memory": torch.cuda.is_available(),
        }


def _check(batch_size: int, pairs_per_epoch: int, workers: int) -> None:
    if batch_size < 1 or pairs_per_epoch < 1 or workers < 0:
        raise SettingsError(
            "expected --data.batch_size and --data.pairs_per_epoch of at least 1 and "
            f"--data.workers of at least 0; got {batch_size}, {pairs_per_epoch} and {workers}"
        )
