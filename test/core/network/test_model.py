"""The network's shapes, and that the IoU predictor's box can be climbed."""

from __future__ import annotations

import pytest
import torch

from dcfst_core.network.embedding import Features
from dcfst_core.network.iou_net import IoUNet
from dcfst_core.network.model import DCFSTNet

BOXES = torch.tensor([[[100.0, 100, 160, 170], [90, 80, 150, 140], [5, 200, 60, 230]]] * 2)


@pytest.fixture(scope="module")
def iou_net() -> IoUNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return IoUNet().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def blocks() -> Features:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(2, 128, 36, 36, generator=generator),
        torch.randn(2, 256, 18, 18, generator=generator),
    )


def test_feature_maps_have_the_papers_sizes(model: DCFSTNet) -> None:
    with torch.no_grad():
        block3, block4 = model(torch.randn(2, 3, 288, 288))
    assert block3.shape == (2, 128, 36, 36)
    assert block4.shape == (2, 256, 18, 18)


def test_iou_net_shapes_and_box_gradient(iou_net: IoUNet, blocks: Features) -> None:
    modulation = iou_net.modulate(blocks, BOXES[:, 0])
    assert [vector.shape for vector in modulation] == [(2, 256), (2, 256)]
    boxes = BOXES.clone().requires_grad_()
    predicted = iou_net.predict(iou_net.convolve(blocks), modulation, boxes)
    assert predicted.shape == (2, 3)
    (gradient,) = torch.autograd.grad(predicted.sum(), boxes)
    assert gradient.abs().min() > 0


def test_the_last_layer_applied_by_hand_is_the_prediction(
    iou_net: IoUNet, blocks: Features
) -> None:
    modulation = iou_net.modulate(blocks, BOXES[:, 0])
    pooled = iou_net.pool(iou_net.convolve(blocks), BOXES)
    assert [part.shape for part in pooled] == [(2, 3, 5, 5, 256), (2, 3, 3, 3, 256)]
    hidden = iou_net.hidden(pooled, modulation)
    assert hidden.shape == (2, 3, 512) and (hidden >= 0).all()
    by_hand = hidden @ iou_net.predictor.weight[0] + iou_net.predictor.bias
    expected = iou_net.predict_pooled(pooled, modulation)
    assert torch.allclose(by_hand, expected, atol=1e-4 * float(expected.abs().max()))


def test_each_target_is_modulated_by_its_own_vectors(iou_net: IoUNet, blocks: Features) -> None:
    modulation = iou_net.modulate(blocks, BOXES[:, 0])
    features = iou_net.convolve(blocks)
    both = iou_net.predict(features, modulation, BOXES)
    for row in range(2):
        alone = iou_net.predict(
            (features[0][row : row + 1], features[1][row : row + 1]),
            (modulation[0][row : row + 1], modulation[1][row : row + 1]),
            BOXES[row : row + 1],
        )
        assert torch.allclose(alone[0], both[row], atol=1e-4 * float(both.abs().max()))
