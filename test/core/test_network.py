"""The network's parts: collapsed scores, shapes, the inference copy."""

from __future__ import annotations

import pytest
import torch

from dcfst_core.inference.net import InferenceNet
from dcfst_core.network.iou_net import IoUNet
from dcfst_core.network.model import DCFSTNet
from dcfst_core.network.samples import SampleGrid

GRID = SampleGrid(31, 8.0, 288)


@pytest.fixture(scope="module")
def net() -> DCFSTNet:
    torch.manual_seed(0)
    net = DCFSTNet().eval()
    # A head that does something: at its start the residual branch is exactly zero.
    for branch in (net.embedding.block3, net.embedding.block4):
        torch.nn.init.normal_(branch.bn2.weight)
    return net


@pytest.fixture(scope="module")
def patches() -> torch.Tensor:
    return torch.randn(2, 3, 288, 288, generator=torch.Generator().manual_seed(1))


def test_feature_maps_have_the_papers_sizes(net: DCFSTNet, patches: torch.Tensor) -> None:
    with torch.no_grad():
        block3, block4 = net(patches)
    assert block3.shape == (2, 128, 36, 36)
    assert block4.shape == (2, 256, 18, 18)


def test_collapsed_scores_equal_the_full_path(net: DCFSTNet, patches: torch.Tensor) -> None:
    target_wh = torch.tensor([[57.6, 57.6], [40.0, 83.0]])
    regressor = torch.randn(2, 1024) * 0.05
    with torch.no_grad():
        features = net.embedding.convolve(net(patches))
        full = net.embedding.embed(features, GRID, target_wh) @ regressor[..., None]
        kernel = net.embedding.collapse(regressor)
        collapsed = net.embedding.score(features, kernel, GRID, target_wh)
    assert full.std() > 0.01
    assert (collapsed.flatten(1) - full[..., 0]).abs().max() < 1e-4


def test_residual_head_starts_at_the_trunk_features(patches: torch.Tensor) -> None:
    net = DCFSTNet().eval()
    with torch.no_grad():
        blocks = net(patches[:1])
        features = net.embedding.convolve(blocks)
    assert torch.equal(features[0], blocks[0])
    assert torch.equal(features[1], blocks[1])


def test_inference_copy_gives_the_same_numbers(net: DCFSTNet, patches: torch.Tensor) -> None:
    fused = InferenceNet(net, torch.device("cpu"), "float32")
    boxes = torch.tensor([[[110.0, 110, 170, 180], [90, 120, 150, 170]]]).expand(2, -1, -1)
    with torch.no_grad():
        blocks, expected_blocks = fused.trunk(patches), net(patches)
        for got, expected in zip(blocks, expected_blocks, strict=True):
            assert (got - expected).abs().max() < 1e-3 * expected.abs().max()
        field = fused.iou_field(fused.iou_features(blocks), fused.modulate(blocks, boxes[:, 0]))
        predicted, _ = field(boxes)
        iou_net = net.iou_net
        expected = iou_net.predict(
            iou_net.convolve(expected_blocks),
            iou_net.modulate(expected_blocks, boxes[:, 0]),
            boxes,
        )
    assert (predicted - expected).abs().max() < 1e-3 * (1 + expected.abs().max())


def test_iou_net_shapes_and_box_gradient() -> None:
    net = IoUNet().eval()
    blocks = (torch.randn(2, 128, 36, 36), torch.randn(2, 256, 18, 18))
    modulation = net.modulate(blocks, torch.tensor([[100.0, 100, 160, 170]] * 2))
    assert [vector.shape for vector in modulation] == [(2, 256), (2, 256)]
    boxes = torch.tensor([[[100.0, 100, 160, 170], [90, 80, 150, 140]]] * 2).requires_grad_()
    predicted = net.predict(net.convolve(blocks), modulation, boxes)
    assert predicted.shape == (2, 2)
    (gradient,) = torch.autograd.grad(predicted.sum(), boxes)
    assert gradient.abs().min() > 0
