"""The ResNet-18 trunk: two feature maps of a patch, at stride 8 and at stride 16."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from dcfst_core.errors import CheckpointError

STRIDE_BLOCK3 = 8
STRIDE_BLOCK4 = 16
CHANNELS_BLOCK3 = 128
CHANNELS_BLOCK4 = 256


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, added to their input; the first may halve the map."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride > 1:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, H, W) to (B, C', H / stride, W / stride)."""
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        out += shortcut
        result: Tensor = self.relu(out)
        return result


def _layer(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))


class ResNet18Trunk(nn.Module):
    """conv1 to layer3 of torchvision's ResNet-18, under torchvision's parameter names.

    Written out here, as importing torchvision's models takes a second and a half. The paper counts
    conv1 as block 1, so its block 3 is `layer2` and its block 4 is `layer3`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = _layer(64, 64, 1)
        self.layer2 = _layer(64, CHANNELS_BLOCK3, 2)
        self.layer3 = _layer(CHANNELS_BLOCK3, CHANNELS_BLOCK4, 2)
        for module in self.modules():
            # Where only shapes are wanted, drawing them would import PyTorch's compiler.
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Features of normalised patches (B, 3, S, S).

        Returns block3 (B, 128, S/8, S/8) and block4 (B, 256, S/16, S/16).
        """
        # Pooled first: the same numbers, and a quarter of them left to rectify.
        x = self.relu(self.maxpool(self.bn1(self.conv1(patches))))
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
    state = _downloaded() if path is None else _read(path)
    trunk = ResNet18Trunk()
    wanted = trunk.state_dict()
    missing = sorted(set(wanted) - set(state))
    if missing:
        raise CheckpointError(
            f"expected torchvision's ResNet-18 in {path or 'its download'}; {len(missing)} of "
            f"{len(wanted)} tensors are missing (first: {missing[:3]}): these are weights of "
            "another network"
        )
    trunk.load_state_dict({name: value for name, value in state.items() if name in wanted})
    return trunk


def _read(path: str) -> dict[str, Tensor]:
    if not Path(path).is_file():
        raise CheckpointError(f"expected ImageNet weights of ResNet-18 at {path}; there is none")
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _downloaded() -> dict[str, Tensor]:
    from torchvision.models import ResNet18_Weights

    try:
        state: dict[str, Tensor] = ResNet18_Weights.IMAGENET1K_V1.get_state_dict(progress=True)
    except OSError as error:
        raise CheckpointError(
            f"torchvision's ImageNet weights of ResNet-18 cannot be downloaded ({error}): "
            "give a file of them as trunk_weights"
        ) from error
    return state
