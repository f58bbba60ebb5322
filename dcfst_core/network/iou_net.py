"""ATOM's IoU predictor (Danelljan et al., CVPR 2019).

The reference branch turns the first frame's box into two modulation vectors; the test branch pools
candidate boxes from the current features, modulates them channel by channel, and predicts each
box's IoU with the target on the scale [-1, 1] (1 = perfect).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcfst_core.network.backbone import (
    CHANNELS_BLOCK3,
    CHANNELS_BLOCK4,
    STRIDE_BLOCK3,
    STRIDE_BLOCK4,
    patch_to_feature,
)
from dcfst_core.network.embedding import Features
from dcfst_core.network.prroi_pool import prroi_pool

WIDTH = 256


def _conv_block(inputs: int, outputs: int, kernel: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class IoUNet(nn.Module):
    """IoU predictor on block3 and block4 features; boxes are xyxy in patch pixels."""

    def __init__(self) -> None:
        super().__init__()
        # Reference branch: convolution, pooling to 3x3 / 1x1, one vector a block, two modulations.
        self.reference3 = _conv_block(CHANNELS_BLOCK3, 128, 3, 1)
        self.reference4 = _conv_block(CHANNELS_BLOCK4, 256, 3, 1)
        self.vector3 = _conv_block(128, WIDTH, 3, 0)
        self.vector4 = _conv_block(256, WIDTH, 1, 0)
        self.modulation3 = _conv_block(2 * WIDTH, WIDTH, 1, 0)
        self.modulation4 = _conv_block(2 * WIDTH, WIDTH, 1, 0)
        # Test branch: two convolutions a block, pooling to 5x5 / 3x3.
        self.test3 = nn.Sequential(
            *_conv_block(CHANNELS_BLOCK3, WIDTH, 3, 1), *_conv_block(WIDTH, WIDTH, 3, 1)
        )
        self.test4 = nn.Sequential(
            *_conv_block(CHANNELS_BLOCK4, WIDTH, 3, 1), *_conv_block(WIDTH, WIDTH, 3, 1)
        )
        self.fc3 = _conv_block(WIDTH, WIDTH, 5, 0)
        self.fc4 = _conv_block(WIDTH, WIDTH, 3, 0)
        self.predictor = nn.Linear(2 * WIDTH, 1)
        for module in self.modules():
            # See `ResNet18Trunk`: where only shapes are wanted, nothing is drawn.
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def modulate(self, blocks: Features, boxes_xyxy: Tensor) -> Features:
        """Modulation vectors, 2 x (B, 256), of the targets (B, 4) in the reference features."""
        pooled3 = _pool(self.reference3(blocks[0]), boxes_xyxy[:, None], STRIDE_BLOCK3, 3)
        pooled4 = _pool(self.reference4(blocks[1]), boxes_xyxy[:, None], STRIDE_BLOCK4, 1)
        joined = torch.cat(
            (self.vector3(pooled3.flatten(0, 1)), self.vector4(pooled4.flatten(0, 1))), dim=1
        )
        return self.modulation3(joined).flatten(1), self.modulation4(joined).flatten(1)

    def convolve(self, blocks: Features) -> Features:
        """Test-branch features 2 x (B, 256, H, W) of the trunk features."""
        return self.test3(blocks[0]), self.test4(blocks[1])

    def predict(self, features: Features, modulation: Features, boxes_xyxy: Tensor) -> Tensor:
        """Predicted IoU (B, R), scaled to [-1, 1], of candidate boxes (B, R, 4)."""
        return self.predict_pooled(self.pool(features, boxes_xyxy), modulation)

    def pool(self, features: Features, boxes_xyxy: Tensor) -> Features:
        """Pooled features (B, R, 5, 5, 256) and (B, R, 3, 3, 256) of boxes; channels last."""
        return (
            _pool(features[0], boxes_xyxy, STRIDE_BLOCK3, 5).permute(0, 1, 3, 4, 2),
            _pool(features[1], boxes_xyxy, STRIDE_BLOCK4, 3).permute(0, 1, 3, 4, 2),
        )

    def predict_pooled(self, pooled: Features, modulation: Features) -> Tensor:
        """Predicted IoU (B, R) from pooled features and modulation vectors 2 x (B, 256)."""
        predicted: Tensor = self.predictor(self.hidden(pooled, modulation)).squeeze(-1)
        return predicted

    def hidden(self, pooled: Features, modulation: Features) -> Tensor:
        """What the last layer, `predictor`, sees of each box: (B, R, 512), not negative."""
        outputs = [
            # Channels stay last, as the pooling leaves them: nothing is copied.
            _fully_connected(fc, (part * vector[:, None, None, None]).flatten(0, 1))
            for part, vector, fc in zip(pooled, modulation, (self.fc3, self.fc4), strict=True)
        ]
        return torch.cat(outputs, dim=1).unflatten(0, pooled[0].shape[:2])


def _fully_connected(block: nn.Sequential, pooled: Tensor) -> Tensor:
    """Apply a convolution block whose kernel covers all of its input: (N, k, k, C) to (N, out).

    As a matrix product, which is several times faster than the convolution routines at this shape.
    """
    weight, bias = linear_weight(block)
    output = F.linear(pooled.flatten(1).to(weight.dtype), weight, bias)
    result: Tensor = block[2](block[1](output[..., None, None]))
    return result.flatten(1).to(pooled.dtype)


def linear_weight(block: nn.Sequential) -> tuple[Tensor, Tensor | None]:
    """The convolution of such a block as a matrix (out, k * k * C), and its bias."""
    convolution = block[0]
    assert isinstance(convolution, nn.Conv2d)
    return convolution.weight.permute(0, 2, 3, 1).flatten(1), convolution.bias


def _pool(features: Tensor, boxes_xyxy: Tensor, stride: int, bins: int) -> Tensor:
    # In float32, whatever the convolutions ran in: a bin's weights need more than half precision.
    return prroi_pool(features.float(), patch_to_feature(boxes_xyxy, stride), bins)
