"""The network's shapes, and that the IoU predictor's box can be climbed."""

from __future__ import annotations

import pytest
import torch

from dcfst_core.network.backbone import ResNet18Trunk
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


def test_the_trunk_is_torchvisions_resnet18() -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference, trunk = models.resnet18().eval(), ResNet18Trunk().eval()
    state = reference.state_dict()
    wanted = {name for name in state if not name.startswith(("layer4.", "fc."))}
    assert set(trunk.state_dict()) == wanted
    trunk.load_state_dict({name: state[name] for name in wanted})
    patches = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        x = reference.maxpool(reference.relu(reference.bn1(reference.conv1(patches))))
        block3 = reference.layer2(reference.layer1(x))
        found = trunk(patches)
        for got, expected in zip(found, (block3, reference.layer3(block3)), strict=True):
            assert (got - expected).abs().max() < 1e-4 * expected.abs().max()


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
