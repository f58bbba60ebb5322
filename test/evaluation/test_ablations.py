"""Ablations change what they name and nothing else."""

from __future__ import annotations

import torch

from dcfst_core.evaluation.ablations import ablations
from dcfst_core.evaluation.plain_head import _spreads, plain_feature_head
from dcfst_core.evaluation.trackers import TrackerSpec
from dcfst_core.network.model import DCFSTNet
from dcfst_core.tracking.config import TrackerConfig


def test_each_ablation_changes_one_thing() -> None:
    spec = TrackerSpec("t", weights="w", config=TrackerConfig.default().to_dict())
    headless, no_refinement, no_update = ablations(spec)
    assert headless.untrained_head and headless.config == spec.config
    changed = {k for k, v in no_refinement.config.items() if v != spec.config[k]}
    assert changed == {"box_refinement"} and no_refinement.config["box_refinement"] is False
    changed = {k for k, v in no_update.config.items() if v != spec.config[k]}
    assert changed == {"learning_rate", "recent_rate"}
    assert no_update.config["learning_rate"] == no_update.config["recent_rate"] == 0
    for ablated in (headless, no_refinement, no_update):
        TrackerConfig.from_dict(ablated.config)  # settings that there are
    given = ablations(spec, untrained="start.safetensors")[0]
    assert given.weights == "start.safetensors" and not given.untrained_head


def test_the_plain_head_passes_trunk_features_and_keeps_their_spread() -> None:
    torch.manual_seed(0)
    model = DCFSTNet().eval()
    for branch in (model.embedding.block3, model.embedding.block4):  # as if trained
        torch.nn.init.normal_(branch.bn2.weight)
        branch.fc.weight.data.mul_(3)
    plain = plain_feature_head(model)
    blocks = (torch.randn(1, 128, 9, 9), torch.randn(1, 256, 5, 5))
    learned, kept = model.embedding.convolve(blocks), plain.embedding.convolve(blocks)
    assert all(torch.equal(a, b) for a, b in zip(blocks, kept, strict=True))
    assert not torch.allclose(learned[0], blocks[0], atol=0.1)
    for ours, theirs in zip(_spreads(plain), _spreads(model), strict=True):
        assert abs(ours / theirs - 1) < 1e-4
    assert torch.equal(plain.trunk.conv1.weight, model.trunk.conv1.weight)
    assert not torch.equal(plain.embedding.block3.fc.weight, model.embedding.block3.fc.weight)
