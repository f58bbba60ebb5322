"""Losses of the regressor's scores and of the predicted IoU.

The shrinkage loss keeps the many easy background RoIs from drowning the few RoIs near the target:
its sigmoid factor takes the weight off errors below c, with sharpness a (paper: a = 10, c = 0.2).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

ScoreLossName = Literal["shrinkage", "original_shrinkage", "squared"]
A, C = 10.0, 0.2


def modified_shrinkage_loss(scores: Tensor, labels: Tensor, a: float = A, c: float = C) -> Tensor:
    """exp(y) (s - y)^2 / (1 + exp(a (c - |s - y|))) per element (paper Eq. 4).

    `scores`, `labels`: tensors of one shape. Computed in float32 at least.
    """
    error = _error(scores, labels)
    return labels.exp() * error.square() * torch.sigmoid(a * (error.abs() - c))


def original_shrinkage_loss(scores: Tensor, labels: Tensor, a: float = A, c: float = C) -> Tensor:
    """exp(y) (s - y)^2 / (1 + exp(a (c - (y - s)))) per element (paper Eq. 5).

    With the signed difference only scores that are too low count in full.
    """
    error = _error(scores, labels)
    return labels.exp() * error.square() * torch.sigmoid(a * (-error - c))


def squared_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """(s - y)^2 per element: the ablation's baseline."""
    return _error(scores, labels).square()


SCORE_LOSSES = {
    "shrinkage": modified_shrinkage_loss,
    "original_shrinkage": original_shrinkage_loss,
    "squared": squared_loss,
}


def iou_loss(predicted: Tensor, ious: Tensor, exact: Tensor | None = None) -> Tensor:
    """Mean squared error of the predicted IoU on the scale [-1, 1] (ATOM).

    `predicted`: (B, R) in [-1, 1]; `ious`: (B, R) in [0, 1]; `exact`: (B,) which pairs count, all
    if None. Zero when none does.
    """
    squared = _error(predicted, 2 * ious - 1).square().mean(dim=1)
    if exact is None:
        return squared.mean()
    return (squared * exact).sum() / exact.sum().clamp(min=1)


def _error(scores: Tensor, labels: Tensor) -> Tensor:
    if scores.shape != labels.shape:
        raise ValueError(
            f"expected scores and labels of one shape; got {tuple(scores.shape)} and "
            f"{tuple(labels.shape)}"
        )
    # Half precision would lose the small errors that squaring makes smaller still.
    if scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    return scores - labels
