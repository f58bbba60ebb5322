"""Convolutions for a CPU whose weights are packed once, with what follows them in one call.

oneDNN wants weights in an order of its own. Given plain ones it reorders them in every call, which
takes as long as the convolution itself where that is fast (bfloat16 with AMX). PyTorch's compiler
packs them beforehand, and adds and rectifies in the same call; these are the operators that it
uses. They are not a promised interface: `can_pack` tries them, and without them convolutions stay
as they are.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcfst_core.network.backbone import BasicBlock, ResNet18Trunk

log = logging.getLogger(__name__)

_TOLERANCE = 0.02  # of the largest value; bfloat16 has three digits


class PackedConv(nn.Module):
    """A convolution (`relu`: rectified), in the number format that it had.

    Inputs have channels last. Weights are packed for the shape that comes first; others are served
    as well. Without gradients.
    """

    def __init__(self, conv: nn.Conv2d, relu: bool = False) -> None:
        super().__init__()
        self._conv: nn.Conv2d | None = conv
        self._bias = None if conv.bias is None else conv.bias.detach()
        self._where = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self._after = "relu" if relu else "none"
        self._packed = torch.empty(0)

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """(B, C, H, W) to (B, C', H', W'); `added`: is added, and then the sum is rectified."""
        if self._conv is not None:
            self._packed, self._conv = self._pack(self._conv, x), None
        operator = torch.ops.mkldnn._convolution_pointwise
        given = (self._packed, self._bias, *self._where)
        if added is None:
            out: Tensor = operator(x, *given, self._after, [], "")
        else:
            out = operator.binary(x, added, *given, "add", 1.0, "relu", [], "")
        return out

    def __deepcopy__(self, memo: dict[int, Any]) -> PackedConv:
        """Itself: packed weights cannot be copied, and never change."""
        return self

    def _pack(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
        packed: Tensor = reorder(conv.weight.detach().to_mkldnn(), *self._where, x.shape)
        return packed


class PackedBlock(nn.Module):
    """A block of the trunk in two or three calls."""

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        self._first = PackedConv(block.conv1, relu=True)
        self._second = PackedConv(block.conv2)
        self._shortcut = None
        if block.downsample is not None:
            (shortcut,) = (part for part in block.downsample if isinstance(part, nn.Conv2d))
            self._shortcut = PackedConv(shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """See `BasicBlock`."""
        shortcut = x if self._shortcut is None else self._shortcut(x)
        result: Tensor = self._second(self._first(x), shortcut)
        return result


def pack_trunk(trunk: ResNet18Trunk) -> None:
    """Pack a trunk whose normalisation is fused, in place."""
    pack_children(trunk, "conv1")
    for name in ("layer1", "layer2", "layer3"):
        blocks = [PackedBlock(block) for block in getattr(trunk, name)]
        setattr(trunk, name, nn.Sequential(*blocks))


def pack_children(module: nn.Module, *names: str) -> None:
    """Pack convolutions of a module, in place."""
    for name in names:
        setattr(module, name, PackedConv(getattr(module, name)))


def packed_chain(layers: nn.Sequential) -> nn.Sequential:
    """A chain of convolutions, each with a ReLU behind it, whose normalisation is fused."""
    return nn.Sequential(
        *(PackedConv(layer, relu=True) for layer in layers if isinstance(layer, nn.Conv2d))
    )


@functools.cache
def can_pack(dtype: torch.dtype) -> bool:
    """Whether this PyTorch has the operators, and they compute the right thing on this CPU."""
    if not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(16, 32, 3, 2, padding=1)
    with torch.no_grad():
        conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator))
        x = torch.randn(1, 16, 12, 12, generator=generator)
        added = torch.randn(1, 32, 6, 6, generator=generator)
        expected = F.relu(conv(x) + added)
        last = torch.channels_last
        conv = conv.to(dtype).to(memory_format=last)
        x, added = (part.to(dtype=dtype, memory_format=last) for part in (x, added))
        try:
            found = PackedConv(conv)(x, added).float()
        except (AttributeError, RuntimeError, TypeError) as error:
            log.info("convolutions are not packed, so a frame takes longer: %s", error)
            return False
    if bool((found - expected).abs().max() <= _TOLERANCE * expected.abs().max()):
        return True
    log.warning("convolutions are not packed, so a frame takes longer: packed ones are wrong here")
    return False
