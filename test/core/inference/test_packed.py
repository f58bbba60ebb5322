"""Packed convolutions: the same numbers, in any shape, and what is done where they are not."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from dcfst_core.evaluation.straightforward import StraightforwardNet
from dcfst_core.inference import packed
from dcfst_core.inference.net import InferenceNet, fused_copy
from dcfst_core.inference.packed import PackedConv, can_pack
from dcfst_core.network.model import DCFSTNet

CPU = torch.device("cpu")

needs_packing = pytest.mark.skipif(
    not can_pack(torch.float32), reason="this PyTorch has no packed convolutions for this CPU"
)


def patches(count: int, side: int) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(count))


def plain_and_fused(precision: str) -> tuple[StraightforwardNet, InferenceNet]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DCFSTNet().eval()
    return StraightforwardNet(model, CPU), InferenceNet(model, CPU, precision)


@needs_packing
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.05)])
def test_every_stage_gives_what_the_plain_network_does(precision: str, tolerance: float) -> None:
    if not can_pack(getattr(torch, precision)):
        pytest.skip(f"no packed convolutions in {precision} here")
    plain, net = plain_and_fused(precision)
    assert sum(isinstance(part, PackedConv) for part in net._trunk.modules()) == 15
    # Packed for the first shape, computed for all: other sides, and several regions.
    for count, side in ((1, 96), (3, 96), (1, 144)):
        patch = patches(count, side)
        with torch.no_grad():
            wanted = plain.trunk(patch)
            found = net.trunk(patch)
            wanted = (*wanted, *plain.convolve(wanted), *plain.iou_features(wanted))
            found = (*found, *net.convolve(found), *net.iou_features(found))
        for value, expected in zip(found, wanted, strict=True):
            assert torch.allclose(
                value.float(), expected, atol=tolerance * float(expected.abs().max())
            )


def test_without_the_operators_the_network_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, _ = plain_and_fused("float32")
    monkeypatch.setattr(packed.PackedConv, "forward", lambda *_: torch.zeros(1, 32, 6, 6))
    can_pack.cache_clear()
    try:
        assert not can_pack(torch.float32)  # what is wrong is found out
        _, net = plain_and_fused("float32")
    finally:
        can_pack.cache_clear()
    assert not any(isinstance(part, PackedConv) for part in net._trunk.modules())
    with torch.no_grad():
        found, expected = net.trunk(patches(1, 96)), plain.trunk(patches(1, 96))
    assert torch.allclose(found[1], expected[1], atol=1e-4 * float(expected[1].abs().max()))


def test_a_fused_copy_leaves_the_model_alone() -> None:
    model = DCFSTNet().eval()
    fused = fused_copy(model, CPU)
    assert isinstance(model.trunk.bn1, nn.BatchNorm2d)
    assert isinstance(fused.trunk.bn1, nn.Identity)


def test_a_net_that_has_run_can_be_copied() -> None:
    """As `dcfst-train judge` copies trackers; packed weights are shared."""
    _, net = plain_and_fused("float32")
    with torch.no_grad():
        expected = net.trunk(patches(1, 96))
        found = copy.deepcopy(net).trunk(patches(1, 96))
    for value, wanted in zip(found, expected, strict=True):
        assert torch.equal(value, wanted)
