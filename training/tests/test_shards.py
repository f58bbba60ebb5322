"""Packed shards: what comes back, from a folder and by URL, whole, cut short and corrupt."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dcfst_training.augmentation import Augmentation
from dcfst_training.checkpointing import MidEpochCheckpoint
from dcfst_training.cli import main
from dcfst_training.data import PairDataModule
from dcfst_training.datasets import DatasetLayoutError, MovingTargets
from dcfst_training.datasets.clips import ClipList
from dcfst_training.datasets.images import UnreadableFrameError
from dcfst_training.mixture import Source, Sources, weigh
from dcfst_training.pack import PackOptions, pack
from dcfst_training.pair_sampling import ClipPair, draw_frames
from dcfst_training.pairs import CropOptions, Example, make_example
from dcfst_training.shard_stream import RemoteShards, ShardStream
from dcfst_training.shards import ShardClips, open_shards, scan_shard
from dcfst_training.splits import Split

OPTIONS = PackOptions(shard_mb=0.25, frames_per_window=3, window=10, quality=97)
PLAIN = CropOptions(augmentation=Augmentation(0.0, 0.0, 0.0, 0.0, 2.5, 0.0, noise=0.0))
CLIPS = MovingTargets(8, length=20)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    pack([Source(CLIPS, "synthetic")], tmp_path / "shards", OPTIONS)
    return tmp_path / "shards"


@pytest.fixture
def url(packed: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(packed)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def opened(packed: Path, context: float = 0.0) -> ShardClips:
    (clips,) = open_shards(packed, context)
    return clips


def test_what_is_packed_comes_back(packed: Path) -> None:
    index = json.loads((packed / "shards.json").read_text())
    assert len(index["shards"]) > 2 and index["complete"] and index["clips_done"] == 8
    assert all((packed / name).stat().st_size < 6e5 for name in index["shards"])
    clips = opened(packed, PLAIN.context)
    assert len(clips) == sum(index["shards"].values()) == 16  # two windows of ten frames each
    names = {clips.clip(number).name for number in range(len(clips))}
    assert names == {f"synthetic/{number}" for number in range(8)}


def test_crops_show_what_the_frames_show(packed: Path) -> None:
    """A training crop of the packed crop is that of the whole frame, but for JPEG's losses."""
    clips = opened(packed)
    for number in range(4):
        clip = clips.clip(number)
        source = CLIPS.clip(int(clip.name.split("/")[1]))
        window = json.loads(_json_of(clips, number))
        frames = window["frames"]
        assert frames == sorted(frames) and frames[-1] - frames[0] < 10
        pairs = ClipPair(clip, 0, 2), ClipPair(source, frames[0], frames[2])
        ours, theirs = (make_example(pair, PLAIN, np.random.default_rng(0)) for pair in pairs)
        assert torch.allclose(ours["test_box"], theirs["test_box"], atol=0.1)
        difference = (ours["test_patch"].float() - theirs["test_patch"].float()).abs()
        assert difference.mean() < 4


def _json_of(clips: ShardClips, number: int) -> bytes:
    entry = clips.entries[number]
    offset, size = entry.places["json"]
    return entry.shard.read_bytes()[offset : offset + size]


def test_sets_keep_their_weights_in_shards(tmp_path: Path) -> None:
    """A big set does not swallow a small one: shares are by set, as they are in folders."""
    small, big = MovingTargets(3, length=6), MovingTargets(30, length=6)
    small.name, big.name = "small", "big"
    sources = [Source(small, "small"), Source(big, "stills", 0.5)]
    pack(sources, tmp_path / "one", OPTIONS)
    pack([Source(CLIPS, "synthetic")], tmp_path / "other", OPTIONS)
    folders = [str(tmp_path / "one"), str(tmp_path / "other")]
    found = Sources(shards=folders).open()
    weights = weigh(found, {"stills": 4.0})
    named = {source.clips.name: weight for source, weight in zip(found, weights, strict=True)}
    assert named == {"small": 1.0, "big": 2.0, "synthetic": 1.0}
    data = PairDataModule(shards=folders, weights={"stills": 4.0, "synthetic": 0.0})
    data.setup("fit")
    rng = np.random.default_rng(0)
    drawn = [data._sampler("train").draw(rng).clip.name.split("/")[0] for _ in range(300)]
    assert set(drawn) == {"small", "big"} and 70 < drawn.count("small") < 130


def test_sets_keep_their_weights_in_a_stream(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small, big = MovingTargets(6, length=6), MovingTargets(18, length=6)
    small.name, big.name = "small", "big"
    pack([Source(small, "small"), Source(big, "big")], tmp_path, OPTIONS)
    shards = RemoteShards.open(f"file://{tmp_path}")
    copies = shards.copies({"big": 0.5})
    assert copies == pytest.approx({"small": 2 / 3 * 24 / 6, "big": 1 / 3 * 24 / 18})
    stream = ShardStream(shards, PLAIN, 1, 1, (0,), copies=copies)
    names = [clip.name.split("/")[0] for clip in islice(stream._clips(0), 240)]
    assert 0.55 < names.count("small") / 240 < 0.78
    assert shards.copies({"big": 0.0}) == pytest.approx({"small": 4.0, "big": 0.0})
    assert shards.copies({"small": 1e6})["small"] == pytest.approx(4.0, rel=1e-3)
    assert not caplog.text


def test_the_gap_of_a_pair_counts_frames_not_crops(tmp_path: Path) -> None:
    """Eight frames of a window of a hundred are far apart, though their crops are neighbours."""
    clips = MovingTargets(2, length=100)
    pack([Source(clips, "synthetic")], tmp_path, replace(OPTIONS, frames_per_window=8, window=100))
    packed = opened(tmp_path)
    rng, gaps = np.random.default_rng(0), []
    for number in range(len(packed)):
        clip = packed.clip(number)
        for _ in range(60):
            pair = draw_frames(clip, 15, rng)
            assert pair is not None
            gaps.append(abs(clip.numbers[pair.train_frame] - clip.numbers[pair.test_frame]))
    assert 0 < max(gaps) <= 15


def test_what_is_known_of_a_clip_is_packed(tmp_path: Path) -> None:
    clip = replace(CLIPS.clip(0), name="set/a", origin="video 7", exact=False)
    pack([Source(ClipList("set", (clip,)), "set")], tmp_path, OPTIONS)
    packed = opened(tmp_path)
    assert packed.origin(0) == packed.clip(0).origin == "video 7" and not packed.clip(0).exact


def test_an_interrupted_packing_goes_on(packed: Path, tmp_path: Path) -> None:
    class Stops(MovingTargets):
        def clip(self, index: int) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return super().clip(index)

    out, left = tmp_path / "again", [5]
    with pytest.raises(KeyboardInterrupt):
        pack([Source(Stops(8, length=20), "synthetic")], out, OPTIONS)
    done = json.loads((out / "shards.json").read_text())
    assert 0 < done["clips_done"] < 8 and not done["complete"]
    left[0] = 100
    pack([Source(Stops(8, length=20), "synthetic")], out, OPTIONS)
    assert 100 - left[0] == 8 - done["clips_done"]
    for shard in sorted(packed.iterdir()):
        assert (out / shard.name).read_bytes() == shard.read_bytes()
    with pytest.raises(ValueError, match="packed with other quality: choose another folder"):
        pack([Source(CLIPS, "synthetic")], out, replace(OPTIONS, quality=50))


@pytest.mark.fault("a shard cut short")
def test_a_shard_that_is_cut_short_is_reported_and_its_rest_used(
    packed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shard = packed / "shard-000000.tar"
    whole, _ = scan_shard(shard)
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    cut, _ = scan_shard(shard)
    assert 0 < len(cut) < len(whole)
    assert len(opened(packed)) == 16 - len(whole) + len(cut)
    assert f"{len(cut)} of its {len(whole)} samples are used" in caplog.text
    assert str(shard) in caplog.text
    # Cut between two members, without the end mark: nothing but the index knows.
    caplog.clear()
    end = -(-(sum(cut[0].places["json"])) // 512) * 512
    shard.write_bytes(shard.read_bytes()[:end])
    assert len(opened(packed)) == 16 - len(whole) + 1
    assert f"1 of its {len(whole)} samples" in caplog.text
    caplog.clear()
    shard.unlink()
    assert len(opened(packed)) == 16 - len(whole)
    assert f"0 of its {len(whole)} samples" in caplog.text


def damage(clips: ShardClips, number: int, kind: str) -> None:
    shard, places = clips.entries[number].shard, clips.entries[number].places
    offset, size = places[kind]
    data = bytearray(shard.read_bytes())
    data[offset + size // 2] ^= 0x55
    shard.write_bytes(data)


@pytest.mark.fault("a shard with a corrupt member")
def test_a_corrupt_member_is_noticed(packed: Path) -> None:
    clips = opened(packed)
    damage(clips, 0, "01.jpg")
    clip = clips.clip(0)
    assert clip.read(0).shape[2] == 3
    with pytest.raises(UnreadableFrameError, match=r"shard-000000\.tar/.*01\.jpg is corrupt"):
        clip.read(1)
    shard, places = clips.entries[1].shard, clips.entries[1].places
    offset, _ = places["json"]
    shard.write_bytes(shard.read_bytes()[:offset] + b"x" + shard.read_bytes()[offset + 1 :])
    with pytest.raises(UnreadableFrameError, match="expected the json of a sample"):
        clips.clip(1)


def test_streaming_skips_what_is_damaged_and_says_so(
    packed: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    clips = opened(packed)
    damage(clips, 0, "01.jpg")
    last = packed / "shard-000001.tar"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    (packed / "shard-000002.tar").unlink()
    left = len(opened(packed)) - 1
    caplog.clear()
    stream = ShardStream(RemoteShards.open(url), PLAIN, 1, 1, (0,))
    names = [clip.name for clip in islice(stream._clips(0), left)]
    assert len(names) == left
    assert "skipped a sample" in caplog.text and "01.jpg is corrupt" in caplog.text
    assert "shard-000001.tar is cut short or damaged" in caplog.text
    assert "shard-000002.tar is cut short or damaged" in caplog.text


def batches(stream: ShardStream) -> list[torch.Tensor]:
    loader = DataLoader(stream, batch_size=None, num_workers=stream.streams)
    return [batch["test_patch"] for batch in loader]


def test_a_stream_goes_on_where_it_was(url: str) -> None:
    whole = ShardStream(RemoteShards.open(url), PLAIN, 2, 7, (0, 3), streams=2)
    expected = batches(whole)
    assert len(expected) == 7
    for start in (1, 4):
        rest = batches(replace(whole, start=start))
        assert len(rest) == 7 - start
        assert all(map(torch.equal, rest, expected[start:]))
    other = batches(replace(whole, seed=(0, 4)))
    assert not torch.equal(other[0], expected[0])


def test_processes_of_a_stream_share_the_shards(url: str) -> None:
    shards = RemoteShards.open(url)
    parts = [ShardStream(shards, PLAIN, 1, 1, (0,), part=part, parts=2) for part in range(2)]
    names = [
        {(clip.name, clip.boxes_xywh.tobytes()) for clip in islice(part._clips(0), 4)}
        for part in parts
    ]
    assert not names[0] & names[1]


def test_held_out_clips_of_a_stream_are_never_trained_on(url: str) -> None:
    stream = ShardStream(RemoteShards.open(url), PLAIN, 1, 1, (0,), split=Split(3))
    kinds = (stream, replace(stream, side="held_out"))
    train, held = ({clip.name for clip in islice(kind._clips(0), 30)} for kind in kinds)
    assert train and held and not train & held
    assert len(train | held) == 8


def test_flags_that_do_not_fit_shards_are_errors(packed: Path, url: str, tmp_path: Path) -> None:
    wide = CropOptions(shift=4.0)
    with pytest.raises(DatasetLayoutError, match=r"hold 10\.5 times .* asks for up to 15\.3"):
        PairDataModule(shards=str(packed), crop=wide).setup("fit")
    with pytest.raises(ValueError, match=r"only source.*got also --data\.synthetic"):
        PairDataModule(shards=url, synthetic=3).setup("fit")
    with pytest.raises(DatasetLayoutError, match=r"expected shards\.json beside the \*\.tar"):
        PairDataModule(shards=str(tmp_path)).setup("fit")
    with pytest.raises(DatasetLayoutError, match=r"index of a shard set"):
        PairDataModule(shards=f"{url}/nowhere").setup("fit")


def test_pack_as_a_user_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    flags = ["--data.synthetic=3", "--pack.shard_mb=0.1", "--pack.frames_per_window=2"]
    main(["pack", f"--out={out}", "--workers=0", *flags])
    assert "wrote 3 samples in" in capsys.readouterr().out
    assert len(opened(out)) == 3


@pytest.mark.fault("kill -9 of `dcfst-train pack` with workers")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell a child")
def test_packing_leaves_no_process_behind_when_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dcfst_training.cli", "pack", f"--out={tmp_path}"]
    settings = ["--data.synthetic=100000", "--workers=2", "--pack.shard_mb=4000"]
    process = subprocess.Popen([*command, *settings], stderr=subprocess.DEVNULL)
    children: list[str] = []
    try:
        while len(children) < 2 or not list(tmp_path.glob("*.unfinished")):
            assert process.poll() is None
            time.sleep(0.1)
            listing = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            children = listing.read_text().split()
    finally:
        process.kill()
        process.wait()
    until = time.monotonic() + 20
    while any(running(child) for child in children) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(running(child) for child in children)


def running(process: str) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


class Stop(Exception):
    """Stands for a kill."""


class Sees(L.LightningModule):
    """Keeps what it is shown."""

    def __init__(self, stop_before: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seen: dict[int, float] = {}
        self.held_out: list[float] = []
        self.stop_before = stop_before

    def training_step(self, batch: Example, index: int) -> torch.Tensor:
        if self.global_step == self.stop_before:
            raise Stop
        self.seen[self.global_step] = float(batch["test_patch"].double().mean())
        return self.weight.square()

    def validation_step(self, batch: Example, index: int) -> None:
        self.held_out.append(float(batch["test_patch"].double().mean()))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit_on_stream(run: Path, url: str, stop_before: int = 100) -> Sees:
    module = Sees(stop_before)
    data = PairDataModule(
        shards=url, batch_size=2, pairs_per_epoch=8, validation_pairs=4, holdout_every=3, workers=2
    )
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        callbacks=[MidEpochCheckpoint(run, 0.0)],
    )
    last = run / "last.ckpt"
    resume = {"ckpt_path": str(last), "weights_only": True} if last.is_file() else {}
    trainer.fit(module, data, **resume)
    return module


def test_training_on_a_stream_goes_on_inside_an_epoch(url: str, tmp_path: Path) -> None:
    unbroken = fit_on_stream(tmp_path / "unbroken", url)
    assert len(set(unbroken.seen.values())) == 8
    assert len(unbroken.held_out) == 4 and unbroken.held_out[:2] == unbroken.held_out[2:]
    with pytest.raises(Stop):
        fit_on_stream(tmp_path / "stopped", url, stop_before=3)
    resumed = fit_on_stream(tmp_path / "stopped", url)
    assert resumed.seen == {step: unbroken.seen[step] for step in range(3, 8)}
