"""Remembered looks: what counts as alike, what is kept, and that a stranger is not learned."""

from __future__ import annotations

import pytest
import torch

from dcfst_core.tracking.looks import Appearances, Looks

BOX = torch.tensor([[100.0, 120.0, 180.0, 170.0]])
ELSEWHERE = torch.tensor([[30.0, 200.0, 110.0, 250.0]])


def features(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    block3 = torch.randn(1, 128, 36, 36, generator=generator)
    return block3, torch.randn(1, 256, 18, 18, generator=generator)


def test_the_same_look_is_alike_whatever_its_contrast_and_others_are_not() -> None:
    seen = features(0)
    looks = Appearances(seen, BOX, 16).looks
    assert float(looks.similarity(looks.describe(seen, BOX))) == pytest.approx(1.0, abs=1e-5)
    means = [block.mean(dim=(2, 3), keepdim=True) for block in seen]
    stronger = tuple(3 * (block - mean) + mean for block, mean in zip(seen, means, strict=True))
    alike = looks.similarity(looks.describe(stronger, BOX))
    assert float(alike) == pytest.approx(1.0, abs=1e-5)
    assert float(looks.similarity(looks.describe(seen, ELSEWHERE))) < 0.2
    assert float(looks.similarity(looks.describe(features(1), BOX))) < 0.2


@pytest.mark.parametrize(
    ("capacity", "kept"),
    [
        (1, [True, False, False, False, False]),
        (2, [True, False, False, False, True]),
        (3, [True, False, False, True, True]),
        (16, [True, True, True, True, True]),
    ],
)
def test_the_first_look_stays_and_of_the_others_the_newest(
    capacity: int, kept: list[bool]
) -> None:
    remembered = Appearances(features(0), BOX, capacity)
    descriptors = [remembered.looks.describe(features(seed), BOX) for seed in range(5)]
    for descriptor in descriptors[1:]:
        remembered.add(descriptor)
    looks = remembered.looks
    assert looks.known.shape[:2] == (1, capacity)
    assert [float(looks.similarity(descriptor)) > 0.99 for descriptor in descriptors] == kept


def test_likeness_is_relative_to_what_is_usual_with_a_floor() -> None:
    known = Appearances(features(0), BOX, 16)
    assert known.likeness(0.8) == 1.0  # nothing is usual yet
    for _ in range(200):
        known.note(0.6)
    assert known.likeness(0.3) == pytest.approx(0.5, abs=1e-3)
    assert known.likeness(0.9) == 1.0 and known.likeness(-0.2) == 0.0
    for _ in range(300):
        known.note(0.05)
    assert known.likeness(0.15) == pytest.approx(0.5)


def test_a_batch_is_compared_target_by_target() -> None:
    one, two = features(0), features(1)
    both = torch.cat((one[0], two[0])), torch.cat((one[1], two[1]))
    boxes = torch.cat((BOX, ELSEWHERE))
    first, second = Appearances(one, BOX, 4).looks, Appearances(two, ELSEWHERE, 4).looks
    looks = Looks.stack([first, second])
    descriptors = looks.describe(both, boxes)
    assert torch.allclose(descriptors[:1], first.describe(one, BOX))
    assert torch.allclose(descriptors[1:], second.describe(two, ELSEWHERE))
    assert looks.similarity(descriptors).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    swapped = Looks.stack([second, first])
    assert float(swapped.similarity(swapped.describe(both, boxes)).max()) < 0.2
