"""Fit the last layer of the IoU predictor to one target, in closed form.

On the frame where a person drew the box every other box's IoU is known. So boxes are drawn around
it, and the layer that turns their hidden features h into a predicted IoU is solved anew:

    min_v  sum_i s_i (h_i . v + c - y_i)^2 + lambda |v - v0|^2,

which is ridge regression of what the trained layer (v0, c) gets wrong, by the smaller of the two
systems (a few hundred boxes, 512 hidden features). The bias c stays: refitted as well, in four
ways, it changed the error on 120 held-out pairs by less than 1% (.066; without the fit .079;
lambda .03 to 1 gave .066 to .067). lambda is relative to the mean of |h|^2 over the boxes, so that
one number fits any target. The tracker and the training use this function, so that what is trained
is what runs (`dcfst_training`, `--model.fit_iou`).

Meant for `FIT_BOXES` boxes of `draw_proposals(box, FIT_BOXES, rng, FIT_MIN_IOU)` in each of the
`FIT_CROPS` of one frame: the target is never quite in the middle of a search region, nor quite of
the expected size. lambda balances that many boxes against the trained layer; boxes of later frames
may be added, with a weight of their own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dcfst_core.network.ridge import ridge_solve

FIT_CROPS = ((0.0, 0.0, 1.0), (0.6, -0.4, 0.85), (-0.5, 0.5, 1.15), (0.2, 0.7, 1.0))
"""Centre of each crop, in target sizes sqrt(w h) from the target's, and its side relative to the
usual search region's."""
FIT_BOXES = 48
"""Boxes drawn in each crop."""
FIT_MIN_IOU = 0.2
FIT_REGULARIZATION = 0.1
"""lambda for weights that were not trained through the fit; others name theirs in their metadata,
`fit_regularization`."""


def fit_predictor(
    hidden: Tensor,
    wanted: Tensor,
    weight: Tensor,
    bias: Tensor,
    regularization: float | Tensor = FIT_REGULARIZATION,
    sample_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The predictor's last layer fitted to each target.

    `hidden`: (B, R, K) hidden features of drawn boxes, of `IoUNet.hidden`; `wanted`: (B, R) what
    is to be predicted, 2 IoU - 1; `weight` (K,) or (1, K) and `bias` (1,) or (): the trained
    layer; `regularization`: lambda over the mean |h|^2 > 0, a number or a tensor (); it may learn;
    `sample_weight`: (B, R) how much each box counts, 1 if None. Returns weights (B, K) and biases
    (B,) in float32 at least, differentiable in all. Raises SolverError for features not finite.
    """
    with torch.autocast(hidden.device.type, enabled=False):
        if hidden.dtype in (torch.float16, torch.bfloat16):
            hidden = hidden.float()
        weight, bias = weight.to(hidden.dtype).flatten(), bias.to(hidden.dtype).flatten()
        wrong = wanted.to(hidden.dtype) - predict(hidden, weight, bias)
        scale = _mean_square(hidden, sample_weight)
        change = ridge_solve(hidden, wrong, regularization * scale, sample_weight)
        return weight + change, bias.expand(len(hidden))


def predict(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Predicted IoU (B, R) on the scale [-1, 1] by last layers (K,) and (1,), or (B, K), (B,)."""
    if weight.ndim == 1:
        return hidden @ weight + bias
    return (hidden @ weight[..., None]).squeeze(-1) + bias[:, None]


def _mean_square(hidden: Tensor, sample_weight: Tensor | None) -> Tensor:
    """The mean |h|^2 of each target's boxes (B,)."""
    squares = hidden.square().sum(dim=-1)
    if sample_weight is None:
        return squares.mean(dim=1)
    share = sample_weight.to(squares.dtype)
    return (squares * share).sum(dim=1) / share.sum(dim=1).clamp(min=1e-6)
