"""The ResNet-18 trunk: two feature maps of a patch, at stride 8 and at stride 16."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, resnet18

from dcfst_core.errors import CheckpointError

STRIDE_BLOCK3 = 8
STRIDE_BLOCK4 = 16
CHANNELS_BLOCK3 = 128
CHANNELS_BLOCK4 = 256


class ResNet18Trunk(nn.Module):
    """conv1 to layer3 of torchvision's ResNet-18, under torchvision's parameter names.

    The paper counts conv1 as block 1, so its block 3 is `layer2` and its block 4 is `layer3`.
    """

    def __init__(self, weights: ResNet18_Weights | None = None) -> None:
        super().__init__()
        net = resnet18(weights=weights)
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2, self.layer3 = net.layer1, net.layer2, net.layer3

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Features of normalised patches (B, 3, S, S).

        Returns block3 (B, 128, S/8, S/8) and block4 (B, 256, S/16, S/16).
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(patches))))
        block3 = self.layer2(self.layer1(x))
        return block3, self.layer3(block3)


def patch_to_feature(coordinates: Tensor, stride: int) -> Tensor:
    """Map patch coordinates to feature coordinates, in which cell u has its centre at u.

    ResNet's strided layers centre the receptive field of cell u on the pixel of index stride * u,
    which is the continuous coordinate stride * u + 0.5.
    """
    return (coordinates - 0.5) / stride


def load_imagenet_trunk(path: str | None = None) -> ResNet18Trunk:
    """The trunk with ImageNet weights, from torchvision's download or from a state-dict file.

    `path`: a torch file of torchvision-named tensors (layer4 and fc may be missing). Raises
    CheckpointError when there is no file, no download, or another network's tensors.
    """
    if path is None:
        try:
            return ResNet18Trunk(ResNet18_Weights.IMAGENET1K_V1)
        except OSError as error:
            raise CheckpointError(
                f"torchvision's ImageNet weights of ResNet-18 cannot be downloaded ({error}): "
                "give a file of them as trunk_weights"
            ) from error
    if not Path(path).is_file():
        raise CheckpointError(f"expected ImageNet weights of ResNet-18 at {path}; there is none")
    trunk = ResNet18Trunk()
    state = torch.load(path, map_location="cpu", weights_only=True)
    wanted = trunk.state_dict()
    missing = sorted(set(wanted) - set(state))
    if missing:
        raise CheckpointError(
            f"expected torchvision's ResNet-18 in {path}; {len(missing)} of {len(wanted)} tensors "
            f"are missing (first: {missing[:3]}): these are weights of another network"
        )
    trunk.load_state_dict({name: value for name, value in state.items() if name in wanted})
    return trunk
