"""The same tracker without its shortcuts, as a yardstick for speed and an oracle for results.

Every sample RoI goes through the fully connected layers on both the search and the update side,
the model is updated on every frame, and layers run unfused in float32: the way the paper describes
it. Scores and boxes must agree with `Tracker`; only the time may differ.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from dcfst_core.inference.iou_field import Field, Guide
from dcfst_core.inference.net import InferenceNet
from dcfst_core.network.embedding import Features, RegressorKernel
from dcfst_core.network.model import DCFSTNet
from dcfst_core.network.samples import SampleGrid
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.tracker import Tracker


class StraightforwardNet(InferenceNet):
    """`InferenceNet` with plain layers, and with scores Z w from the full data matrix Z."""

    def __init__(self, model: DCFSTNet, device: torch.device) -> None:
        self.device = device
        self.cuts_windows = False
        self.dtype = torch.float32
        model = copy.deepcopy(model).to(device).eval().requires_grad_(False)
        self._trunk = model.trunk
        self._embedding = model.embedding
        self._iou_net = model.iou_net

    def trunk(self, patches: Tensor) -> Features:
        """Trunk features of normalised float32 patches (B, 3, S, S)."""
        blocks: Features = self._trunk(patches.float())
        return blocks

    def embed(self, features: Features, grid: SampleGrid, target_wh: Tensor) -> Tensor:
        """The data matrix (B, N, D); see `Embedding.embed`."""
        return self._embedding.embed(features, grid, target_wh)

    def collapse(self, regressor: Tensor) -> RegressorKernel:
        """Keep the regressor w (B, D) as it is, in the container that the tracker stacks."""
        w = regressor.float()
        return RegressorKernel(w, w[:, :0], w[:, 0])

    def score(
        self, features: Features, kernel: RegressorKernel, grid: SampleGrid, target_wh: Tensor
    ) -> Tensor:
        """Score maps (B, n, n) as Z w, with Z the embedding of all N sample RoIs."""
        z = self.embed(features, grid, target_wh)
        return (z @ kernel.block3[..., None]).view(len(z), grid.size, grid.size)

    def iou_field(
        self, features: Features, guide: Guide, origins: Features | None = None
    ) -> Field:
        """Predicted IoU with its gradient by autograd; of whole patches."""
        assert origins is None, "`cuts_windows` is false"

        def predict(boxes: Tensor) -> Tensor:
            pooled = self._iou_net.pool(features, boxes)
            hidden = self._iou_net.hidden(pooled, guide.modulation)
            return (hidden @ guide.weight[..., None]).squeeze(-1) + guide.bias[:, None]

        return AutogradField(predict)


class AutogradField:
    """Any differentiable score of boxes as something that can be climbed."""

    def __init__(self, predict: Callable[[Tensor], Tensor]) -> None:
        self.scores = predict

    def __call__(self, boxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, R) and gradients (B, R, 4) of boxes (B, R, 4)."""
        with torch.enable_grad():
            boxes = boxes_xyxy.detach().requires_grad_()
            scores = self.scores(boxes)
            (gradient,) = torch.autograd.grad(scores.sum(), boxes)
        return scores.detach(), gradient


class StraightforwardTracker(Tracker):
    """`Tracker` on a `StraightforwardNet`, with a model update on every frame."""

    def __init__(
        self,
        model: DCFSTNet,
        config: TrackerConfig | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        plain = dataclasses.replace(
            config or TrackerConfig.default(),
            update_interval=1,
            spread_updates=False,
            update_grid_stride=1,
            reuse_features_within=0.0,
            precision="float32",
            cuda_graphs=False,
        )
        super().__init__(model, plain, device)

    def _make_net(self, model: DCFSTNet, config: TrackerConfig) -> InferenceNet:
        return StraightforwardNet(model, self.device)
