"""The network: trunk, embedding and IoU predictor, and nothing else."""

from __future__ import annotations

import hashlib
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


def hash_weights(model: DCFSTNet) -> hashlib._Hash:
    """A SHA-256 that has taken in names and values of all tensors, as float32."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest


def weights_digest(model: DCFSTNet) -> str:
    """32 hex digits that tell a network's weights from others."""
    return hash_weights(model).hexdigest()[:32]


def tensor_shapes(architecture: Architecture | None = None) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of such a network, without memory for any of them."""
    with torch.device("meta"):
        state = DCFSTNet(architecture).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
