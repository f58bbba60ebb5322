"""Which batches a run sees that stops inside an epoch and goes on, and checkpoints cut short."""

from __future__ import annotations

import resource
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from dcfst_training.checkpointing import AtomicCheckpointIO, MidEpochCheckpoint, ResumableLoader
from dcfst_training.errors import WriteError

EPOCH, BATCH = 12, 2


class Stop(Exception):
    """Stands for a kill: nothing is cleaned up or saved."""


class Numbers(torch.utils.data.Dataset):
    """Epoch and index as the example, so that what was seen can be told."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return EPOCH

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([float(self.epoch), float(index)])


class Recorder(L.LightningModule):
    """Keeps what it sees; its one weight depends on the order of the batches."""

    def __init__(self, stop_before: int = 10**6) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seen: list[tuple[int, int, int]] = []
        self.weights: dict[int, float] = {}
        self.stop_before = stop_before

    def train_dataloader(self) -> DataLoader:
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.current
        dataset = Numbers(self.trainer.current_epoch)
        return ResumableLoader(dataset, lambda: progress.processed, batch_size=BATCH)

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        if self.global_step == self.stop_before:
            raise Stop
        self.seen.append((self.global_step, int(batch[0, 0]), int(batch[0, 1])))
        self.weights[self.global_step] = float(self.weight)
        return (self.weight * batch[0, 1] - batch[0, 0]).square() * 0.001

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.1)


def fit(run: Path, stop_before: int = 10**6) -> Recorder:
    module = Recorder(stop_before)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        reload_dataloaders_every_n_epochs=1,
        plugins=[AtomicCheckpointIO()],
        callbacks=[
            MidEpochCheckpoint(run, 0.0),
            ModelCheckpoint(
                dirpath=run,
                filename="last",
                enable_version_counter=False,
                save_on_train_epoch_end=True,
            ),
        ],
    )
    last = run / "last.ckpt"
    resume = {"ckpt_path": str(last), "weights_only": True} if last.is_file() else {}
    trainer.fit(module, **resume)
    return module


@pytest.mark.parametrize("step", [1, 2, 5, 6, 7, 12, 16])
def test_a_run_stopped_at_any_step_sees_what_it_would_have_seen(tmp_path: Path, step: int) -> None:
    unbroken = fit(tmp_path / "unbroken")
    assert unbroken.seen == [
        (number, number // 6, number % 6 * BATCH) for number in range(3 * EPOCH // BATCH)
    ]
    with pytest.raises(Stop):
        fit(tmp_path / "stopped", stop_before=step)
    resumed = fit(tmp_path / "stopped")
    assert resumed.seen == unbroken.seen[step:]
    expected = {number: unbroken.weights[number] for number in range(step, 18)}
    assert resumed.weights == pytest.approx(expected, rel=1e-6)


@pytest.mark.fault("a kill while a checkpoint is written")
def test_a_kill_while_writing_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)

    def cut_short(self: Path, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(bytes(data)[:12])
        raise Stop

    monkeypatch.setattr(Path, "write_bytes", cut_short)
    with pytest.raises(Stop):
        AtomicCheckpointIO().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}


@pytest.mark.fault("disk full while writing a checkpoint")
def test_a_disk_that_is_full_keeps_the_old_checkpoint_and_blocks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))  # as if a MiB were left
    try:
        with pytest.raises(WriteError, match=r"room for a checkpoint of 4 MB in .*: make room"):
            AtomicCheckpointIO().save_checkpoint({"step": torch.zeros(2**20)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["last.ckpt"]
    AtomicCheckpointIO().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 2}


def test_weights_that_are_not_finite_never_replace_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    good = {"state_dict": {"w": torch.ones(2), "steps": torch.tensor(3)}, "global_step": 3}
    AtomicCheckpointIO().save_checkpoint(good, path)
    bad = {"state_dict": {"w": torch.tensor([1.0, torch.nan])}, "global_step": 4}
    with pytest.raises(FloatingPointError, match=r"finite weights after step 4; w is not"):
        AtomicCheckpointIO().save_checkpoint(bad, path)
    assert torch.load(path, weights_only=True)["global_step"] == 3
