"""The network as the tracker runs it: for one device and one number format.

Every path from patches to numbers that the tracker uses goes through here, so that half precision
and fused layers are decided in one place.
"""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dcfst_core.inference.int8 import Int8Convolutions, load_int8
from dcfst_core.inference.iou_field import FewRows, Field, Guide, IoUField
from dcfst_core.inference.machine import has_fast_bfloat16
from dcfst_core.inference.packed import can_pack, pack_children, pack_trunk, packed_chain
from dcfst_core.inference.sample_layer import SampleLayer
from dcfst_core.network.embedding import Embedding, Features, RegressorKernel
from dcfst_core.network.iou_net import IoUNet, linear_weight
from dcfst_core.network.model import DCFSTNet
from dcfst_core.network.samples import SampleGrid

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """The number format of the layers; `auto` takes a half format where it is fast.

    `int8` is that of the convolutions alone: the others are in `auto`'s format.
    """
    if precision not in ("auto", "int8"):
        return _DTYPES[precision]
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if has_fast_bfloat16() else torch.float32


class InferenceNet:
    """A copy of a DCFSTNet with convolutions and their normalisation fused, in eval mode.

    Convolutions and fully connected layers run in `dtype`; pooling, regressor and solver stay in
    float32. With `int8`, trunk, head and the IoU predictor's features are computed by it.
    """

    cuts_windows: bool
    """Whether box refinement looks at a part of the features: fewer of them, of any shape."""

    int8: Int8Convolutions | None = None

    def __init__(
        self,
        model: DCFSTNet,
        device: torch.device,
        precision: str,
        int8: Int8Convolutions | None = None,
    ) -> None:
        self.int8 = int8
        self.device = device
        self.cuts_windows = device.type == "cpu"
        self.dtype = choose_precision(precision, device)
        model = fused_copy(model, device)
        self._trunk = self._half(model.trunk)
        self._embedding: Embedding = model.embedding
        self._iou_net: IoUNet = model.iou_net
        branches = (model.embedding.block3, model.embedding.block4)
        self._sample_layers = [SampleLayer(branch, self.dtype) for branch in branches]
        for branch in branches:
            # The fully connected layers stay as they are: `collapse` needs them in float32.
            self._half(branch.conv1)
            self._half(branch.conv2)
        net = self._iou_net
        for layers in (net.reference3, net.reference4, net.test3, net.test4, net.fc3, net.fc4):
            self._half(layers)
        self._iou_layers = FewRows(*linear_weight(net.fc3)), FewRows(*linear_weight(net.fc4))
        if device.type == "cpu" and can_pack(self.dtype):
            pack_trunk(model.trunk)
            net.test3, net.test4 = packed_chain(net.test3), packed_chain(net.test4)
            for branch in branches:
                pack_children(branch, "conv1", "conv2")

    def _exact(self) -> AbstractContextManager[None]:
        """With `float32` on a GPU: convolutions that do not round their inputs to TF32.

        PyTorch lets cuDNN do so unless told, which leaves three digits; refinement, which follows
        gradients over many frames, makes pixels of that.
        """
        if self.device.type == "cuda" and self.dtype == torch.float32:
            exact: AbstractContextManager[None] = torch.backends.cudnn.flags(
                enabled=True, allow_tf32=False
            )
            return exact
        return nullcontext()

    def _half(self, module: nn.Module) -> nn.Module:
        return module.to(dtype=self.dtype).to(memory_format=torch.channels_last)

    def trunk(self, patches: Tensor) -> Features:
        """Trunk features of normalised float32 patches (B, 3, S, S), in the working format."""
        if self.int8 is not None:
            return self.int8.trunk(patches)
        patches = patches.to(dtype=self.dtype, memory_format=torch.channels_last)
        with self._exact():
            blocks: Features = self._trunk(patches)
        return blocks

    def convolve(self, blocks: Features) -> Features:
        """Head features, float32, of trunk features."""
        if self.int8 is not None:
            return self.int8.head(blocks)
        with self._exact():
            block3, block4 = self._embedding.convolve(blocks)
        return block3.float(), block4.float()

    def embed(self, features: Features, grid: SampleGrid, target_wh: Tensor) -> Tensor:
        """The data matrix (B, N, D), float32; see `Embedding.embed`."""
        halves = [
            layer(part, grid, target_wh)
            for layer, part in zip(self._sample_layers, features, strict=True)
        ]
        return torch.cat(halves, dim=-1).float()

    def collapse(self, regressor: Tensor) -> RegressorKernel:
        """See `Embedding.collapse`."""
        return self._embedding.collapse(regressor)

    def score(
        self, features: Features, kernel: RegressorKernel, grid: SampleGrid, target_wh: Tensor
    ) -> Tensor:
        """Score maps (B, n, n), float32; see `Embedding.score`."""
        return self._embedding.score(features, kernel, grid, target_wh)

    def modulate(self, blocks: Features, boxes_xyxy: Tensor) -> Features:
        """Modulation vectors in float32; see `IoUNet.modulate`."""
        if self.int8 is not None:
            blocks = blocks[0].to(self.dtype), blocks[1].to(self.dtype)
        with self._exact():
            return self._iou_net.modulate(blocks, boxes_xyxy)

    def iou_features(self, blocks: Features) -> Features:
        """IoU-Net's test features, float32: the boxes' gradients need its resolution."""
        if self.int8 is not None:
            return self.int8.iou_features(blocks)
        with self._exact():
            features3, features4 = self._iou_net.convolve(blocks)
        return features3.float(), features4.float()

    def pool_iou(self, features: Features, boxes_xyxy: Tensor) -> Features:
        """Pooled features of boxes; see `IoUNet.pool`."""
        return self._iou_net.pool(features, boxes_xyxy)

    def predict_pooled_iou(self, pooled: Features, modulation: Features) -> Tensor:
        """Predicted IoU of pooled boxes; see `IoUNet.predict_pooled`."""
        return self._iou_net.predict_pooled(pooled, modulation)

    def iou_hidden(self, pooled: Features, modulation: Features) -> Tensor:
        """What the predictor's last layer sees of pooled boxes; see `IoUNet.hidden`."""
        return self._iou_net.hidden(pooled, modulation)

    def guide(self, modulation: Features) -> Guide:
        """The predictor as it was trained, for targets with these modulation vectors."""
        last = self._iou_net.predictor
        count = len(modulation[0])
        weight = last.weight.detach().float().expand(count, -1)
        return Guide(*modulation, weight, last.bias.detach().float().expand(count))

    def iou_field(
        self, features: Features, guide: Guide, origins: Features | None = None
    ) -> Field:
        """Predicted IoU of boxes xyxy (B, R, 4), with its gradient; see `IoUField`."""
        return IoUField(self._iou_layers, features, guide, origins)


def make_net(
    model: DCFSTNet, device: torch.device, precision: str, int8_file: str, patch_size: int
) -> InferenceNet:
    """The network in `precision`; `int8` is that of a file for these patches (see `load_int8`)."""
    int8 = None
    if precision == "int8":
        int8 = load_int8(int8_file, model, patch_size, device)
    return InferenceNet(model, device, precision, int8)


def fused_copy(model: DCFSTNet, device: torch.device) -> DCFSTNet:
    """A copy for inference alone, each normalisation folded into its convolution."""
    model = copy.deepcopy(model).to(device).eval().requires_grad_(False)
    _fuse_batch_norms(model)
    return model


def _fuse_batch_norms(module: nn.Module) -> None:
    """Fold each BatchNorm2d into the convolution just before it among its parent's children."""
    previous_name, previous = "", None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            setattr(module, previous_name, fuse_conv_bn_eval(previous, child))
            setattr(module, name, nn.Identity())
        else:
            _fuse_batch_norms(child)
        previous_name, previous = name, child
