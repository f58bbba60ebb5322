"""What learns, how fast, and how the rates change over a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Timer

if TYPE_CHECKING:
    from dcfst_training.module import DCFSTModule


def learning_parts(
    module: DCFSTModule,
) -> dict[str, tuple[list[torch.nn.Parameter], float]]:
    """The module's parts with their learning rates, 0 for what does not learn."""
    options, net = module.hparams, module.net
    iou_lr = options.iou_lr * bool(options.iou_weight)
    convolutions, linear = [], []
    for name, parameter in net.embedding.named_parameters():
        (linear if ".fc." in name else convolutions).append(parameter)
    trunk, frozen = [], []
    for name, parameter in net.trunk.named_parameters():
        layer = name.split(".")[0]
        (frozen if layer in options.frozen_layers else trunk).append(parameter)
    parts = {
        "iou": (list(net.iou_net.parameters()), iou_lr),
        "head": (convolutions, options.head_lr * bool(options.score_weight)),
        "fc": (linear, options.fc_lr * bool(options.score_weight)),
        "trunk": (trunk, options.trunk_lr),
        "frozen": (frozen, 0.0),
    }
    if options.fit_iou:
        # A single number, of which the logarithm learns: it can take longer steps.
        parts["fit"] = ([module.log_fit_regularization], 10 * iou_lr)
    return parts


def schedule_of(module: DCFSTModule) -> Callable[[int], float]:
    """Factor of all learning rates by step: linear warm-up, then in steps or along a cosine.

    Over the run's epochs or over its time (`--trainer.max_time`), whichever ends first.

    A function and not an object, whose state the scheduler would put into checkpoints.
    """
    options = module.hparams

    def factor(step: int) -> float:
        warm = min(1.0, (step + 1) / max(options.warmup_steps, 1))
        if not step:
            # Asking for the number of steps makes the loader, and the optimiser is made before a
            # resumed run knows which batch of the epoch the loader has to begin with.
            return warm
        done = _share_done(module.trainer, step)
        if options.schedule == "step":
            return warm * 0.2 ** int(done * 40 / 15)
        return warm * 0.5 * (1 + math.cos(math.pi * done))

    return factor


def _share_done(trainer: Trainer, step: int) -> float:
    """How much of a run is over, 0 to 1, by its steps and by its time."""
    steps = trainer.estimated_stepping_batches  # infinite for --trainer.max_epochs -1
    shares = [0.0 if math.isinf(steps) else step / max(steps, 1)]
    for callback in trainer.callbacks:
        if isinstance(callback, Timer) and callback.time_remaining() is not None:
            elapsed, left = callback.time_elapsed(), callback.time_remaining() or 0.0
            shares.append(elapsed / max(elapsed + left, 1e-9))
    return min(max(shares), 1.0)
