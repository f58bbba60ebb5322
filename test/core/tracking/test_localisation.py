"""What is decided between and after the device's stages: the find of each target."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dcfst_core.tracking.localisation import choose, relative_variance

NOTHING = -math.inf


def test_each_target_gets_its_own_highest_score() -> None:
    assert choose([0.3, 0.9, 0.5, 0.2, 0.8], [0, 0, 1, 1, 1]) == [1, 4]
    assert choose([0.3, 0.9], [0, 1]) == [0, 1]


def test_what_lies_out_of_reach_is_no_rival_of_what_lies_within() -> None:
    # A region's higher peak that is out of reach has come as -inf already.
    assert choose([NOTHING, -0.2, NOTHING], [0, 0, 0]) == [1]
    assert choose([0.1, NOTHING, NOTHING, 0.2], [0, 0, 1, 1]) == [0, 3]


def test_nothing_within_reach_of_any_region_stays_nothing() -> None:
    scores = [NOTHING, NOTHING, 0.4]
    (first, second) = choose(scores, [0, 0, 1])
    assert (scores[first], second) == (NOTHING, 2)


def system(samples: int, dimensions: int, regularization: float) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(samples)
    x = torch.randn(2, samples, dimensions, generator=generator, dtype=torch.float64)
    gram = x.mT @ x + regularization * torch.eye(dimensions, dtype=torch.float64)
    return x, gram, torch.linalg.cholesky(gram)


@pytest.mark.parametrize("regularization", [0.1, 3.0])
def test_relative_variance_is_that_of_a_gaussian_process_in_float64(regularization: float) -> None:
    _, gram, factor = system(30, 12, regularization)
    z = torch.randn(2, 12, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    found = relative_variance(z.float(), factor.float(), regularization)
    for row in range(2):
        inverse = np.linalg.inv(gram[row].numpy())
        expected = regularization * z[row].numpy() @ inverse @ z[row].numpy()
        assert float(found[row]) == pytest.approx(expected / float(z[row] @ z[row]), rel=1e-3)


def test_what_was_learned_from_is_not_new_and_what_never_was_is() -> None:
    x, _, factor = system(6, 12, 0.1)
    known = x[:, 2]
    # Orthogonal to all samples of a row: nothing like it was ever seen.
    new = torch.linalg.svd(x).Vh[:, -1]
    assert relative_variance(known.float(), factor.float(), 0.1).max() < 0.02
    assert torch.allclose(relative_variance(new.float(), factor.float(), 0.1), torch.ones(2))
    assert relative_variance(torch.zeros(2, 12), factor.float(), 0.1).tolist() == [0.0, 0.0]
    scaled = relative_variance(100 * new.float(), factor.float(), 0.1)
    assert torch.allclose(scaled, torch.ones(2), atol=1e-4)  # of directions, not of lengths
