"""The training step: the embedding through the ridge solver, and the IoU predictor beside it."""

from __future__ import annotations

from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor

from dcfst_core.errors import SolverError
from dcfst_core.network.backbone import ResNet18Trunk, load_imagenet_trunk
from dcfst_core.network.iou_fit import FIT_REGULARIZATION
from dcfst_core.network.model import Architecture, DCFSTNet
from dcfst_core.network.ridge import ridge_solve
from dcfst_core.network.samples import SampleGrid
from dcfst_core.tracking.patch import normalize_patches
from dcfst_core.tracking.peaks import find_peaks
from dcfst_training import resume
from dcfst_training.errors import DivergedError, SettingsError
from dcfst_training.failures import describe_failure
from dcfst_training.iou_learning import (
    EXACT_ONLY,
    Prediction,
    Seen,
    iou_errors,
    predict_proposals,
    stranger_loss,
)
from dcfst_training.losses import SCORE_LOSSES, ScoreLossName, iou_loss
from dcfst_training.optimisation import learning_parts, schedule_of
from dcfst_training.pairs import Example
from dcfst_training.starts import start_gaussian

Blocks = tuple[Tensor, Tensor]
GRID = SampleGrid(31, 8.0, 288)
"""Sample RoIs that are scored in the test crop, as in the tracker."""


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
        fit_iou: fit the IoU predictor's last layer to each target on its train frame, as the
            tracker does, and learn through that; needs `--data.crop.fit_crops 4`.
        fit_regularization: lambda of that fit, relative to the features; it learns, from here.
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
        fit_iou: bool = False,
        fit_regularization: float = FIT_REGULARIZATION,
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
        _check(train_grid, frozen_layers)
        self.save_hyperparameters()
        self.net = DCFSTNet(Architecture(residual=start == "plain"))
        if trunk_weights != "random":
            self.net.trunk = load_imagenet_trunk(trunk_weights)
        self.net.to(memory_format=torch.channels_last)  # half the time of a step on a CPU
        if start == "gaussian":
            start_gaussian(self.net)
        strength = torch.tensor(float(fit_regularization)).log()
        if fit_iou:
            self.log_fit_regularization = torch.nn.Parameter(strength)
        else:
            self.register_buffer("log_fit_regularization", strength, persistent=False)
        self.grid = GRID
        spacing = GRID.spacing * (GRID.size - 1) / (train_grid - 1)
        self.train_samples = SampleGrid(train_grid, spacing, GRID.patch_size)

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
        seen = self.see(batch)
        result: dict[str, Tensor] = {}
        total = torch.zeros((), device=self.device)
        if self.hparams.score_weight:
            values = self._score_losses(seen, batch)
            result |= values
            total = total + self.hparams.score_weight * values["score_loss"]
        if self.hparams.iou_weight:
            values, weighted = self._iou_losses(seen, batch)
            result |= values
            total = total + weighted
        result["loss"] = total
        return result

    def _score_losses(self, seen: Seen, batch: Example) -> dict[str, Tensor]:
        scores = self.scores(seen.train, seen.test, batch["train_box"][:, 2:])
        box = batch["test_box"]
        offset = box[:, :2] + box[:, 2:] / 2 - self.grid.patch_size / 2
        labels = self.grid.labels(box[:, 2:], self.hparams.output_sigma_factor, offset)
        result = {"score_loss": self._score_loss(self.hparams.score_loss, scores, labels)}
        result |= self._miss(scores.detach(), batch)
        if not self.training:
            # By every loss, so that runs with different ones can be compared.
            for name in SCORE_LOSSES:
                result[name] = self._score_loss(name, scores, labels)
        return result

    def _score_loss(self, name: ScoreLossName, scores: Tensor, labels: Tensor) -> Tensor:
        # The mean over 961 mostly empty RoIs is tiny; 100 brings it to the IoU loss's size.
        return 100 * SCORE_LOSSES[name](scores.flatten(1), labels).mean()

    def _iou_losses(self, seen: Seen, batch: Example) -> tuple[dict[str, Tensor], Tensor]:
        """What to log of the IoU predictor, and its weighted loss."""
        found = self.predict_iou(seen, batch)
        loss = iou_loss(found.predicted, batch["proposal_ious"], batch["exact"])
        result = {"iou_loss": loss} | iou_errors(found.predicted, batch)
        total = self.hparams.iou_weight * loss
        if self.hparams.fit_iou:
            result["fit_regularization"] = self.fit_regularization.detach()
        elif not self.training and "fit_boxes" in batch:
            # What the fit would give at test time alone.
            fitted = predict_proposals(self.net.iou_net, seen, batch, self.fit_regularization)
            result["fitted_iou_error"] = iou_errors(fitted.predicted, batch)["iou_error"]
        if self.hparams.stranger_weight:
            strange = stranger_loss(self.net.iou_net, found, batch["clip"])
            if strange:
                result["stranger_loss"], result["stranger_iou"] = strange
                total = total + self.hparams.stranger_weight * result["stranger_loss"]
        return result, total

    def predict_iou(self, seen: Seen, batch: Example) -> Prediction:
        """The predicted IoU of the proposals, fitted to each target if this run learns so."""
        fit = self.fit_regularization if self.hparams.fit_iou else None
        return predict_proposals(self.net.iou_net, seen, batch, fit)

    @property
    def fit_regularization(self) -> Tensor:
        """lambda of the IoU predictor's fit, as learned."""
        return self.log_fit_regularization.exp()

    def see(self, batch: Example) -> Seen:
        """Trunk features of all crops, in one pass."""
        count = len(batch["train_patch"])
        patches = [batch["train_patch"], batch["test_patch"]]
        fits = self.hparams.fit_iou or not self.training
        further = batch.get("fit_patches") if fits and self.hparams.iou_weight else None
        if further is not None and further.numel():
            patches.append(further.flatten(0, 1))
        three, four = (part.split(count) for part in self.blocks(torch.cat(patches)))
        rest = (torch.cat(three[2:]), torch.cat(four[2:])) if len(three) > 2 else None
        return Seen((three[0], four[0]), (three[1], four[1]), rest)

    def _miss(self, scores: Tensor, batch: Example) -> dict[str, Tensor]:
        box = batch["test_box"]
        peaks = find_peaks(scores, self.grid, box[:, 2:], True)
        distance = (peaks.centre_xy - box[:, :2] - box[:, 2:] / 2).norm(dim=1)
        relative = distance / box[:, 2:].prod(dim=1).sqrt()
        return {"miss_rate": (relative > 0.5).float().mean(), "centre_error": relative.median()}

    def training_step(self, batch: Example, index: int) -> Tensor:
        """One step; a loss that is not finite ends the run with its step named."""
        try:
            values = self.losses(batch)
        except SolverError as error:  # features that are not finite, met before the loss is
            raise DivergedError(describe_failure(self, "nan", index)) from error
        if not bool(torch.isfinite(values["loss"])):
            raise DivergedError(describe_failure(self, f"{float(values['loss'])}", index))
        self.log_dict({f"train/{name}": value.detach() for name, value in values.items()})
        return values["loss"]

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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what a session that goes on is compared with."""
        checkpoint[resume.KEY] = resume.trainer_settings(self.trainer)

    def setup(self, stage: str) -> None:
        """Freeze what does not learn, before processes that train together compare notes."""
        for parameters, rate in learning_parts(self).values():
            for parameter in parameters:
                parameter.requires_grad_(rate > 0)

    def configure_optimizers(self) -> dict:
        """Adam with one group for each part of the network that learns, and its schedule."""
        groups = [
            {"params": parameters, "lr": rate, "name": name}
            for name, (parameters, rate) in learning_parts(self).items()
            if rate > 0
        ]
        optimizer = torch.optim.Adam(groups)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule_of(self))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def _check(train_grid: int, frozen_layers: tuple[str, ...]) -> None:
    if train_grid < 2:
        raise SettingsError(
            f"expected --model.train_grid of at least 2 sample RoIs along a side; got {train_grid}"
        )
    layers = [name for name, _ in ResNet18Trunk().named_children()]
    unknown = sorted(set(frozen_layers) - set(layers))
    if unknown:
        raise SettingsError(
            f"expected in --model.frozen_layers parts of the trunk, which are {', '.join(layers)};"
            f" got {', '.join(unknown)}"
        )
