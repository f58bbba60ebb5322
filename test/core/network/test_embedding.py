"""The learned head: collapsed scores, and where training starts."""

from __future__ import annotations

import pytest
import torch

from dcfst_core.network.embedding import Embedding, Features
from dcfst_core.network.samples import SampleGrid

GRID = SampleGrid(31, 8.0, 288)
TARGET_WH = torch.tensor([[57.6, 57.6], [40.0, 83.0]])


@pytest.fixture(scope="module")
def embedding() -> Embedding:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Embedding().eval()
        # A head that does something: at its start the residual branch is exactly zero.
        for branch in (made.block3, made.block4):
            torch.nn.init.normal_(branch.bn2.weight)
    return made.requires_grad_(False)


@pytest.fixture(scope="module")
def blocks() -> Features:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(2, 128, 36, 36, generator=generator),
        torch.randn(2, 256, 18, 18, generator=generator),
    )


def test_collapsed_scores_equal_the_full_path(embedding: Embedding, blocks: Features) -> None:
    regressor = torch.randn(2, 1024, generator=torch.Generator().manual_seed(2)) * 0.05
    features = embedding.convolve(blocks)
    full = (embedding.embed(features, GRID, TARGET_WH) @ regressor[..., None])[..., 0]
    collapsed = embedding.score(features, embedding.collapse(regressor), GRID, TARGET_WH)
    assert full.std() > 0.01
    assert (collapsed.flatten(1) - full).abs().max() < 1e-4


def test_residual_head_starts_at_the_trunk_features(blocks: Features) -> None:
    with torch.no_grad():
        features = Embedding().eval().convolve(blocks)
    assert torch.equal(features[0], blocks[0])
    assert torch.equal(features[1], blocks[1])
