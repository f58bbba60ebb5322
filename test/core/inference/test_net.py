"""The inference copy gives the numbers of the network that it was made from."""

from __future__ import annotations

import pytest
import torch

from dcfst_core.inference.net import InferenceNet, choose_precision
from dcfst_core.network.model import DCFSTNet
from dcfst_core.network.samples import SampleGrid

CPU = torch.device("cpu")
GRID = SampleGrid(31, 8.0, 288)


@pytest.fixture(scope="module")
def net() -> DCFSTNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = DCFSTNet().eval()
        for branch in (net.embedding.block3, net.embedding.block4):
            torch.nn.init.normal_(branch.bn2.weight)
    return net


@pytest.fixture(scope="module")
def patches() -> torch.Tensor:
    return torch.randn(2, 3, 288, 288, generator=torch.Generator().manual_seed(1))


def test_fused_layers_give_the_same_numbers(net: DCFSTNet, patches: torch.Tensor) -> None:
    fused = InferenceNet(net, CPU, "float32")
    boxes = torch.tensor([[[110.0, 110, 170, 180], [90, 120, 150, 170]]]).expand(2, -1, -1)
    with torch.no_grad():
        blocks, expected_blocks = fused.trunk(patches), net(patches)
        for got, expected in zip(blocks, expected_blocks, strict=True):
            assert (got - expected).abs().max() < 1e-3 * expected.abs().max()
        heads = fused.convolve(blocks), net.embedding.convolve(expected_blocks)
        for got, expected in zip(*heads, strict=True):
            assert (got - expected).abs().max() < 1e-3 * expected.abs().max()
        wh = torch.tensor([[60.0, 70.0], [40.0, 83.0]])
        rows = fused.embed(heads[0], GRID, wh), net.embedding.embed(heads[1], GRID, wh)
        assert (rows[0] - rows[1]).abs().max() < 1e-3 * rows[1].abs().max()
        guide = fused.guide(fused.modulate(blocks, boxes[:, 0]))
        predicted, _ = fused.iou_field(fused.iou_features(blocks), guide)(boxes)
        iou_net = net.iou_net
        expected = iou_net.predict(
            iou_net.convolve(expected_blocks),
            iou_net.modulate(expected_blocks, boxes[:, 0]),
            boxes,
        )
    assert (predicted - expected).abs().max() < 1e-3 * (1 + expected.abs().max())


def test_half_precision_stays_near_and_gives_float32(
    model: DCFSTNet, patches: torch.Tensor
) -> None:
    exact, half = (InferenceNet(model, CPU, name) for name in ("float32", "bfloat16"))
    wh = torch.tensor([[57.6, 57.6], [40.0, 83.0]])
    with torch.no_grad():
        rows = [net.embed(net.convolve(net.trunk(patches)), GRID, wh) for net in (exact, half)]
    assert rows[1].dtype == torch.float32
    assert (rows[1] - rows[0]).norm() < 0.05 * rows[0].norm()


def test_the_network_that_is_given_stays_as_it_is(net: DCFSTNet) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    InferenceNet(net, CPU, "bfloat16")
    after = net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_precision_by_name_and_by_device() -> None:
    assert choose_precision("bfloat16", CPU) == torch.bfloat16
    assert choose_precision("auto", torch.device("cuda")) == torch.float16
    assert choose_precision("auto", CPU) in (torch.float32, torch.bfloat16)
