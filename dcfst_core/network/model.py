"""The network: trunk, embedding and IoU predictor, and nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dcfst_core.network.backbone import ResNet18Trunk
from dcfst_core.network.embedding import Embedding
from dcfst_core.network.iou_net import IoUNet


@dataclass(frozen=True)
class Architecture:
    """What a checkpoint must know to rebuild its network."""

    dimensions: int = 1024
    """D, the width of a sample feature (paper: 1024)."""
    residual: bool = True
    """Whether the head's convolutions add to the trunk features (see `EmbeddingBranch`)."""


class DCFSTNet(nn.Module):
    """ResNet-18 trunk, embedding and IoU-Net; `metadata` says where the weights come from."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or Architecture()
        self.metadata: dict[str, Any] = {"architecture": asdict(self.architecture)}
        self.trunk = ResNet18Trunk()
        self.embedding = Embedding(self.architecture.dimensions, self.architecture.residual)
        self.iou_net = IoUNet()

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Trunk features (block3, block4) of normalised patches (B, 3, S, S)."""
        blocks: tuple[Tensor, Tensor] = self.trunk(patches)
        return blocks


def tensor_shapes(architecture: Architecture | None = None) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of such a network, without memory for any of them."""
    with torch.device("meta"):
        state = DCFSTNet(architecture).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
