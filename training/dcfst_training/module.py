"""The training step: the embedding through the ridge solver, and the IoU predictor beside it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import lightning as L
import torch
from torch import Tensor

from dcfst_core.network.backbone import load_imagenet_trunk
from dcfst_core.network.iou_net import Features
from dcfst_core.network.model import Architecture, DCFSTNet
from dcfst_core.network.proposals import MIN_IOU
from dcfst_core.network.ridge import ridge_solve
from dcfst_core.network.samples import SampleGrid
from dcfst_core.tracking.patch import normalize_patches
from dcfst_core.tracking.peaks import find_peaks
from dcfst_training.errors import DivergedError
from dcfst_training.export import read_checkpoint
from dcfst_training.losses import SCORE_LOSSES, ScoreLossName, iou_loss
from dcfst_training.pairs import Example

Blocks = tuple[Tensor, Tensor]

EXACT_ONLY = ("iou_loss", "iou_error")  # what is measured on pairs with exact boxes
STRANGER_BOXES = 8  # proposals of each pair that are shown with another pair's target


class DCFSTModule(L.LightningModule):
    """Trains a DCFSTNet on pairs.

    Args:
        trunk_weights: torch file with the ImageNet trunk; None takes torchvision's download,
            `random` an untrained trunk (for trying out the training itself).
        start: `plain` starts the head at the plain trunk features (needs `plain_start`),
            `gaussian` from zero-mean Gaussian weights as in the paper.
        score_loss: loss of the regressor's scores.
        score_weight: weight of the score loss.
        iou_weight: weight of the IoU predictor's loss; 0 leaves it out.
        stranger_weight: weight of the IoU predictor's loss on the targets of other pairs, whose
            IoU is 0, so that it also says when an object is not the target at all (ATOM: 0).
        regularization: lambda of the ridge regression.
        train_grid: sample RoIs along each side that the regressor is solved from (paper: 31).
        output_sigma_factor: sigma of the labels over the target size.
        head_lr: learning rate of the head's convolutions.
        fc_lr: learning rate of the fully connected layers.
        iou_lr: learning rate of the IoU predictor (ATOM: 1e-3).
        trunk_lr: learning rate of the trunk; 0 freezes it (paper).
        frozen_layers: parts of the trunk that stay ImageNet's even when `trunk_lr` is above 0;
            the first layers change least, and their gradients are a fifth of a CPU's step.
        schedule: `step` (paper: x0.2 every 15 of 40 epochs) or `cosine` to zero.
        warmup_steps: steps of linearly growing learning rate.
        fixed_norm: keep the normalisation layers' statistics as they are at the start (mean 0,
            variance 1 in a new layer), for batches too small to estimate them.
    """

    def __init__(
        self,
        trunk_weights: str | None = None,
        start: Literal["plain", "gaussian"] = "plain",
        score_loss: ScoreLossName = "shrinkage",
        score_weight: float = 1.0,
        iou_weight: float = 1.0,
        stranger_weight: float = 0.0,
        regularization: float = 0.1,
        train_grid: int = 31,
        output_sigma_factor: float = 0.25,
        head_lr: float = 1e-3,
        fc_lr: float = 1e-4,
        iou_lr: float = 1e-3,
        trunk_lr: float = 0.0,
        frozen_layers: tuple[str, ...] = (),
        schedule: Literal["step", "cosine"] = "cosine",
        warmup_steps: int = 50,
        fixed_norm: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = DCFSTNet(Architecture(residual=start == "plain"))
        if trunk_weights != "random":
            self.net.trunk = load_imagenet_trunk(trunk_weights)
        self.net.to(memory_format=torch.channels_last)  # half the time of a step on a CPU
        if start == "gaussian":
            for branch in (self.net.embedding.block3, self.net.embedding.block4):
                torch.nn.init.normal_(branch.fc.weight, std=0.005)
                torch.nn.init.zeros_(branch.fc.bias)
        self.grid = SampleGrid(31, 8.0, 288)
        size = self.hparams.train_grid
        self.train_samples = SampleGrid(size, 8.0 * 30 / (size - 1), 288)

    def on_fit_start(self) -> None:
        """Set the layers' modes: Lightning takes them as it finds them."""
        self.train()

    def train(self, mode: bool = True) -> DCFSTModule:
        """A frozen trunk stays in eval mode, so that its running statistics stay ImageNet's.

        A trunk that is trained keeps them as well: batches are small and not shuffled images.
        """
        super().train(mode)
        self.net.trunk.eval()
        if self.hparams.fixed_norm:
            for layer in self.net.modules():
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.eval()
        return self

    def blocks(self, patches: Tensor) -> Blocks:
        """Trunk features of uint8 patches (B, 3, S, S)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.hparams.trunk_lr > 0):
            features: Blocks = self.net(normalize_patches(patches.float()))
        return features

    def scores(self, train: Blocks, test: Blocks, train_wh: Tensor) -> Tensor:
        """Score maps (B, n, n) on the test crops of regressors solved on the train crops."""
        embedding = self.net.embedding
        both = embedding.convolve((torch.cat((train[0], test[0])), torch.cat((train[1], test[1]))))
        count = len(train[0])
        x = embedding.embed((both[0][:count], both[1][:count]), self.train_samples, train_wh)
        labels = self.train_samples.labels(train_wh, self.hparams.output_sigma_factor)
        with torch.autocast(self.device.type, enabled=False):
            regressor = ridge_solve(x.float(), labels, self.hparams.regularization)
        return self.score_test((both[0][count:], both[1][count:]), regressor, train_wh)

    def score_test(self, features: Blocks, regressor: Tensor, target_wh: Tensor) -> Tensor:
        """Score maps (B, n, n) of regressors (B, D), collapsed to kernels on pooled features."""
        embedding = self.net.embedding
        with torch.autocast(self.device.type, enabled=False):
            kernel = embedding.collapse(regressor)
            tested = (features[0].float(), features[1].float())
            return embedding.score(tested, kernel, self.grid, target_wh)

    def losses(self, batch: Example) -> dict[str, Tensor]:
        """All losses and, for the log, how often and how far the peak misses the target."""
        train, test = self.both_blocks(batch)
        result: dict[str, Tensor] = {}
        total = torch.zeros((), device=self.device)
        train_wh, offset = batch["train_box"][:, 2:], _offset(batch["test_box"], 288)
        if self.hparams.score_weight:
            scores = self.scores(train, test, train_wh)
            labels = self.grid.labels(
                batch["test_box"][:, 2:], self.hparams.output_sigma_factor, offset
            )
            result["score_loss"] = self._score_loss(self.hparams.score_loss, scores, labels)
            total = total + self.hparams.score_weight * result["score_loss"]
            result |= self._miss(scores.detach(), batch)
            if not self.training:
                # By every loss, so that runs with different ones can be compared.
                for name in SCORE_LOSSES:
                    result[name] = self._score_loss(name, scores, labels)
        if self.hparams.iou_weight:
            values, weighted = self._iou_losses(train, test, batch)
            result |= values
            total = total + weighted
        result["loss"] = total
        return result

    def _score_loss(self, name: ScoreLossName, scores: Tensor, labels: Tensor) -> Tensor:
        # The mean over 961 mostly empty RoIs is tiny; 100 brings it to the IoU loss's size.
        return 100 * SCORE_LOSSES[name](scores.flatten(1), labels).mean()

    def _iou_losses(
        self, train: Blocks, test: Blocks, batch: Example
    ) -> tuple[dict[str, Tensor], Tensor]:
        """What to log of the IoU predictor, and its weighted loss."""
        ious = batch["proposal_ious"]
        pooled, modulation = self._pool_proposals(train, test, batch)
        predicted = self.net.iou_net.predict_pooled(pooled, modulation)
        error = ((predicted.detach() + 1) / 2 - ious).abs()
        exact = batch["exact"]
        near = (ious >= MIN_IOU) & exact[:, None]
        result = {"iou_loss": iou_loss(predicted, ious, exact), "iou_error": _mean(error[near])}
        total = self.hparams.iou_weight * result["iou_loss"]
        far = ious < MIN_IOU
        if far.any():
            result["elsewhere_error"] = error[far].mean()
        if self.hparams.stranger_weight:
            shown, other = strangers(pooled, modulation, batch["clip"])
            if len(other[0]):
                predicted = self.net.iou_net.predict_pooled(shown, other)
                result["stranger_loss"] = iou_loss(predicted, torch.zeros_like(predicted))
                result["stranger_iou"] = (predicted.detach().mean() + 1) / 2
                total = total + self.hparams.stranger_weight * result["stranger_loss"]
        return result, total

    def predict_iou(self, train: Blocks, test: Blocks, batch: Example) -> Tensor:
        """Predicted IoU (B, P), scaled to [-1, 1], of the proposals."""
        return self.net.iou_net.predict_pooled(*self._pool_proposals(train, test, batch))

    def _pool_proposals(
        self, train: Blocks, test: Blocks, batch: Example
    ) -> tuple[Features, Features]:
        """Pooled features of the proposals, and the modulation vectors of the targets."""
        net = self.net.iou_net
        xy, wh = batch["train_box"].split(2, dim=1)
        modulation = net.modulate(train, torch.cat((xy, xy + wh), dim=1))
        return net.pool(net.convolve(test), batch["proposals"]), modulation

    def both_blocks(self, batch: Example) -> tuple[Blocks, Blocks]:
        """Trunk features of the train crops and of the test crops, in one pass."""
        count = len(batch["train_patch"])
        block3, block4 = self.blocks(torch.cat((batch["train_patch"], batch["test_patch"])))
        return (block3[:count], block4[:count]), (block3[count:], block4[count:])

    def _miss(self, scores: Tensor, batch: Example) -> dict[str, Tensor]:
        box = batch["test_box"]
        peaks = find_peaks(scores, self.grid, box[:, 2:], 0.0, True)
        distance = (peaks.centre_xy - box[:, :2] - box[:, 2:] / 2).norm(dim=1)
        relative = distance / box[:, 2:].prod(dim=1).sqrt()
        return {"miss_rate": (relative > 0.5).float().mean(), "centre_error": relative.median()}

    def training_step(self, batch: Example, index: int) -> Tensor:
        """One step; a loss that is not finite ends the run with its step named."""
        values = self.losses(batch)
        if not bool(torch.isfinite(values["loss"])):
            raise DivergedError(self._describe_failure(float(values["loss"]), index))
        self.log_dict({f"train/{name}": value.detach() for name, value in values.items()})
        return values["loss"]

    def _describe_failure(self, loss: float, index: int) -> str:
        trainer = self.trainer
        places = [item.dirpath for item in trainer.checkpoint_callbacks if item.dirpath]
        newest = Path(places[0]) / "last.ckpt" if places else None
        kept = "No checkpoint has been written yet: lower the learning rate"
        if newest and newest.is_file():
            step = read_checkpoint(newest)["global_step"]
            kept = (
                f"The last good checkpoint is {newest}, after {step} steps: lower the learning "
                "rate and go on from it"
            )
        pairs = trainer.datamodule.describe_batch(index) if trainer.datamodule else "unknown"
        return (
            f"the loss is {loss} at step {self.global_step} (batch {index} of epoch "
            f"{self.current_epoch}); its pairs, as clip (frames): {pairs}. {kept}"
        )

    def validation_step(self, batch: Example, index: int, dataloader_idx: int = 0) -> None:
        """Held-out pairs: of held-out clips (`val/…`) or of sets held out whole (`val_sets/…`)."""
        values = self.losses(batch)
        kind = ("val", "val_sets")[dataloader_idx]
        for name, value in values.items():
            # Means over the pairs that count: loose boxes say nothing of a predicted IoU.
            pairs = batch["exact"].sum() if name in EXACT_ONLY else len(batch["exact"])
            self.log(
                f"{kind}/{name}",
                value,
                prog_bar=not dataloader_idx,
                sync_dist=True,
                batch_size=int(pairs),
                add_dataloader_idx=False,
            )

    def setup(self, stage: str) -> None:
        """Freeze what does not learn, before processes that train together compare notes."""
        for parameters, rate in self._parts().values():
            for parameter in parameters:
                parameter.requires_grad_(rate > 0)

    def _parts(self) -> dict[str, tuple[list[torch.nn.Parameter], float]]:
        """The network's parts with their learning rates, 0 for what does not learn."""
        options, net = self.hparams, self.net
        convolutions, linear = [], []
        for name, parameter in net.embedding.named_parameters():
            (linear if ".fc." in name else convolutions).append(parameter)
        trunk, frozen = [], []
        for name, parameter in net.trunk.named_parameters():
            layer = name.split(".")[0]
            (frozen if layer in options.frozen_layers else trunk).append(parameter)
        return {
            "iou": (list(net.iou_net.parameters()), options.iou_lr * bool(options.iou_weight)),
            "head": (convolutions, options.head_lr * bool(options.score_weight)),
            "fc": (linear, options.fc_lr * bool(options.score_weight)),
            "trunk": (trunk, options.trunk_lr),
            "frozen": (frozen, 0.0),
        }

    def configure_optimizers(self) -> dict:
        """Adam with one group for each part of the network that learns."""
        groups = [
            {"params": parameters, "lr": rate, "name": name}
            for name, (parameters, rate) in self._parts().items()
            if rate > 0
        ]
        optimizer = torch.optim.Adam(groups)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate_factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _rate_factor(self, step: int) -> float:
        warm = min(1.0, (step + 1) / max(self.hparams.warmup_steps, 1))
        if not step:
            # Asking for the number of steps makes the loader, and the optimiser is made before a
            # resumed run knows which batch of the epoch the loader has to begin with.
            return warm
        total = max(int(self.trainer.estimated_stepping_batches), 1)
        if self.hparams.schedule == "step":
            return warm * 0.2 ** (step * 40 // total // 15)
        return warm * 0.5 * (1 + math.cos(math.pi * min(step / total, 1.0)))


def strangers(pooled: Features, modulation: Features, clip: Tensor) -> tuple[Features, Features]:
    """Pooled features of some pairs' proposals, and modulation vectors of other clips' targets.

    Each pair lends its target to the next one; `clip` (B,) tells which pairs share an object.
    """
    others = clip.roll(1) != clip
    shown = tuple(part[others, :STRANGER_BOXES] for part in pooled)
    other = tuple(vector.roll(1, dims=0)[others] for vector in modulation)
    return (shown[0], shown[1]), (other[0], other[1])


def _mean(values: Tensor) -> Tensor:
    return values.sum() / max(values.numel(), 1)


def _offset(boxes_xywh: Tensor, patch_size: int) -> Tensor:
    return boxes_xywh[:, :2] + boxes_xywh[:, 2:] / 2 - patch_size / 2
