"""The predicted IoU and its slope in closed form, against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dcfst_core.evaluation.straightforward import StraightforwardNet
from dcfst_core.inference.iou_field import EqualBins, Guide
from dcfst_core.inference.net import InferenceNet
from dcfst_core.network.backbone import patch_to_feature
from dcfst_core.network.embedding import Features
from dcfst_core.network.model import DCFSTNet
from dcfst_core.network.prroi_pool import bin_means
from dcfst_core.network.rows import join, pick

CPU = torch.device("cpu")
# Inside, over the border, small, and elongated.
BOXES = torch.tensor(
    [[[100.0, 100, 160, 170], [-20, 200, 50, 300], [140, 141, 147, 149], [30, 120, 250, 150]]]
).expand(2, -1, -1)


@pytest.fixture(scope="module")
def blocks() -> Features:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(2, 128, 36, 36, generator=generator),
        torch.randn(2, 256, 18, 18, generator=generator),
    )


@pytest.fixture(scope="module")
def nets() -> tuple[InferenceNet, StraightforwardNet]:
    """The same random network with and without shortcuts."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = DCFSTNet().eval()
    return InferenceNet(net, CPU, "float32"), StraightforwardNet(net, CPU)


@pytest.fixture(scope="module")
def guide(nets: tuple[InferenceNet, StraightforwardNet], blocks: Features) -> Guide:
    """Of two targets, each with a last layer of its own."""
    fused, _ = nets
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        plain = fused.guide(fused.modulate(blocks, torch.tensor([[100.0, 100, 160, 170]] * 2)))
    drawn: list[Tensor] = [torch.randn(shape, generator=generator) for shape in ((2, 512), (2,))]
    return plain._replace(weight=plain.weight + 0.05 * drawn[0], bias=plain.bias + drawn[1])


@pytest.mark.parametrize("bins", [3, 5])
@pytest.mark.parametrize("stride", [8, 16])
def test_bins_and_their_slopes_equal_autograd_in_float64(bins: int, stride: int) -> None:
    cells = 12
    low = torch.tensor([-30.2, 3.1, 44.71, 95.5], dtype=torch.float64, requires_grad=True)
    high = torch.tensor([17.7, 9.9, 110.13, 142.2], dtype=torch.float64, requires_grad=True)
    ends = (patch_to_feature(end, stride) for end in (low, high))
    expected = bin_means(*ends, bins, cells)
    by_means = torch.randn(4, bins, cells, generator=torch.Generator().manual_seed(0)).double()
    wanted = torch.autograd.grad((expected * by_means).sum(), (low, high))
    equal_bins = EqualBins.of(bins, stride, cells, low)
    with torch.no_grad():
        weights = equal_bins.means(low / stride, high / stride)
        by_ends = equal_bins.back(by_means, *weights)
    assert torch.allclose(weights[0], expected, atol=1e-12)
    assert torch.allclose(by_ends, torch.stack(wanted, dim=-1), atol=1e-10)


def test_closed_form_gradient_equals_autograd(
    nets: tuple[InferenceNet, StraightforwardNet], blocks: Features, guide: Guide
) -> None:
    fused, plain = nets
    with torch.no_grad():
        field = fused.iou_field(fused.iou_features(blocks), guide)
        scores, gradient = field(BOXES)
        expected = plain.iou_field(plain.iou_features(blocks), guide)(BOXES)
    assert expected[1].abs().amin() > 1e-5
    assert torch.equal(scores, field.scores(BOXES))
    assert torch.allclose(scores, expected[0], atol=1e-4 * float(expected[0].abs().max()))
    assert torch.allclose(gradient, expected[1], atol=1e-3 * float(expected[1].abs().max()))


def test_each_target_has_a_last_layer_of_its_own(
    nets: tuple[InferenceNet, StraightforwardNet], blocks: Features, guide: Guide
) -> None:
    fused, _ = nets
    with torch.no_grad():
        features = fused.iou_features(blocks)
        scores, gradient = fused.iou_field(features, guide)(BOXES)
        for row in range(2):
            one = slice(row, row + 1)
            alone = fused.iou_field(pick(features, one), pick(guide, one))(BOXES[one])
            assert torch.allclose(alone[0][0], scores[row], atol=1e-4)
            assert torch.allclose(alone[1][0], gradient[row], atol=1e-4)
        swapped = join([pick(guide, slice(1, 2)), pick(guide, slice(0, 1))])
        weights = guide._replace(weight=swapped.weight, bias=swapped.bias)
        other, _ = fused.iou_field(features, weights)(BOXES)
    assert (other - scores).abs().min() > 1e-3


def test_an_unfitted_guide_predicts_what_the_network_was_trained_to(
    nets: tuple[InferenceNet, StraightforwardNet], blocks: Features
) -> None:
    fused, _ = nets
    with torch.no_grad():
        modulation = fused.modulate(blocks, BOXES[:, 0])
        features = fused.iou_features(blocks)
        expected = fused.predict_pooled_iou(fused.pool_iou(features, BOXES), modulation)
        scores = fused.iou_field(features, fused.guide(modulation)).scores(BOXES)
    assert torch.allclose(scores, expected, atol=1e-4 * float(expected.abs().max()))
