"""The IoU predictor's part of a training step: prediction, the fit to each target, strangers.

With the fit (`--model.fit_iou`) the predictor's last layer is solved in closed form from boxes of
the train frame, as the tracker does on its first frame, and the loss is on the test frame: what
learns is the features through that solver, as the embedding's learn through the ridge regression.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dcfst_core.network.box_tensors import xywh_to_xyxy
from dcfst_core.network.embedding import Features
from dcfst_core.network.iou_fit import fit_predictor, predict
from dcfst_core.network.iou_net import IoUNet
from dcfst_core.network.proposals import MIN_IOU
from dcfst_training.errors import SettingsError
from dcfst_training.losses import iou_loss
from dcfst_training.pairs import Example

EXACT_ONLY = ("iou_loss", "iou_error", "fitted_iou_error")
"""What is measured on pairs with exact boxes only."""
STRANGER_BOXES = 8  # proposals of each pair that are shown with another pair's target


@dataclass(frozen=True)
class Seen:
    """Trunk features of a batch: of the train crops, of the test crops, and of the further crops
    of the train frames (B * (F - 1)), if there are any."""

    train: Features
    test: Features
    further: Features | None = None


@dataclass(frozen=True)
class Prediction:
    """What the predictor makes of the proposals, and what it sees of them."""

    predicted: Tensor
    """(B, P) on the scale [-1, 1], by `layer`."""
    pooled: Features
    modulation: Features
    layer: tuple[Tensor, Tensor]
    """Last layers: weights (B, K) and biases (B,)."""


def predict_proposals(
    net: IoUNet, seen: Seen, batch: Example, regularization: Tensor | float | None
) -> Prediction:
    """The predicted IoU of the proposals; fitted to each target unless `regularization` is None.

    SettingsError when the batch has no boxes to fit on.
    """
    modulation = net.modulate(seen.train, xywh_to_xyxy(batch["train_box"]))
    pooled = net.pool(net.convolve(seen.test), batch["proposals"])
    weight, bias = net.predictor.weight.float(), net.predictor.bias.float()
    if regularization is None:
        count = len(batch["proposals"])
        layer = weight.expand(count, -1), bias.expand(count)
    else:
        hidden, wanted = _fit_boxes(net, seen, batch, modulation)
        layer = fit_predictor(hidden, wanted, weight, bias, regularization)
    predicted = predict(net.hidden(pooled, modulation).float(), *layer)
    return Prediction(predicted, pooled, modulation, layer)


def _fit_boxes(
    net: IoUNet, seen: Seen, batch: Example, modulation: Features
) -> tuple[Tensor, Tensor]:
    """Hidden features (B, F * R, K) of the boxes to fit on, and what is wanted of them."""
    if "fit_boxes" not in batch:
        raise SettingsError(
            "expected boxes of the train frame to fit the IoU predictor on, with --model.fit_iou; "
            "the data have none: set --data.crop.fit_crops 4"
        )
    count, crops, boxes = batch["fit_ious"].shape
    blocks = seen.train
    if seen.further is not None:
        blocks = tuple(_by_pair(*both, count) for both in zip(blocks, seen.further, strict=True))
    pooled = net.pool(net.convolve(blocks), batch["fit_boxes"].flatten(0, 1))
    of_each = tuple(vector.repeat_interleave(crops, dim=0) for vector in modulation)
    hidden = net.hidden(pooled, of_each).float()
    wanted = 2 * batch["fit_ious"] - 1
    return hidden.view(count, crops * boxes, -1), wanted.flatten(1)


def _by_pair(train: Tensor, further: Tensor, count: int) -> Tensor:
    """The features of all crops of the train frames, those of a pair together."""
    return torch.cat((train[:, None], further.unflatten(0, (count, -1))), dim=1).flatten(0, 1)


def iou_errors(predicted: Tensor, batch: Example) -> dict[str, Tensor]:
    """The mean error of the predicted IoU near the target and, where boxes are, elsewhere."""
    ious = batch["proposal_ious"]
    error = ((predicted.detach() + 1) / 2 - ious).abs()
    near = (ious >= MIN_IOU) & batch["exact"][:, None]
    result = {"iou_error": error[near].sum() / near.sum().clamp(min=1)}
    far = ious < MIN_IOU
    if far.any():
        result["elsewhere_error"] = error[far].mean()
    return result


def stranger_loss(net: IoUNet, found: Prediction, clip: Tensor) -> tuple[Tensor, Tensor] | None:
    """The loss on other clips' targets, whose IoU is 0, and their mean predicted IoU in [0, 1].

    Each pair lends its target to the next one; `clip` (B,) tells which pairs share an object. None
    when all of them do.
    """
    others = clip.roll(1) != clip
    if not others.any():
        return None
    shown, modulation = strangers(found.pooled, found.modulation, others)
    weight, bias = (part.roll(1, dims=0)[others] for part in found.layer)
    predicted = predict(net.hidden(shown, modulation).float(), weight, bias)
    loss = iou_loss(predicted, torch.zeros_like(predicted))
    return loss, (predicted.detach().mean() + 1) / 2


def strangers(pooled: Features, modulation: Features, others: Tensor) -> tuple[Features, Features]:
    """Pooled features of some pairs' proposals, and modulation vectors of their strangers'."""
    shown = tuple(part[others, :STRANGER_BOXES] for part in pooled)
    other = tuple(vector.roll(1, dims=0)[others] for vector in modulation)
    return (shown[0], shown[1]), (other[0], other[1])
