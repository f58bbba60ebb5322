"""Remembered looks: what counts as alike, and which of them are kept."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dcfst_core.network.rows import join
from dcfst_core.tracking.looks import LookBook, Looks

BOX = torch.tensor([[100.0, 120.0, 180.0, 170.0]])
ELSEWHERE = torch.tensor([[30.0, 200.0, 110.0, 250.0]])


def features(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    block3 = torch.randn(1, 128, 36, 36, generator=generator)
    return block3, torch.randn(1, 256, 18, 18, generator=generator)


def greatest(looks: Looks, descriptor: Tensor) -> float:
    return float(looks.likeness(descriptor).greatest)


def described(looks: Looks, seen: tuple[Tensor, Tensor], boxes: Tensor) -> Tensor:
    """Descriptors (B, F) of one box (B, 4) in each of the features."""
    return looks.describe(seen, boxes[:, None])[:, 0]


def book_of(*rows: list[float], capacity: int = 3) -> LookBook:
    """A book of flat descriptors, the first one its first frame's."""
    first, *others = (F.normalize(torch.tensor([row]), dim=1) for row in rows)
    nothing = torch.zeros(1, 1, 1, 1)
    known = first[:, None].repeat(1, capacity, 1)
    book = LookBook(Looks(nothing, nothing, known, torch.zeros_like(known)), 1)
    for other in others:
        book = book.with_look(other)
    return book


def test_the_same_look_is_alike_whatever_its_contrast_and_others_are_not() -> None:
    seen = features(0)
    looks = LookBook.start(seen, BOX, 16).looks
    descriptor = described(looks, seen, BOX)
    assert float(descriptor.norm()) == pytest.approx(1.0, abs=1e-5)
    assert [float(v) for v in looks.likeness(descriptor)] == pytest.approx([1, 1, 0], abs=1e-5)
    means = [block.mean(dim=(2, 3), keepdim=True) for block in seen]
    stronger = tuple(3 * (block - mean) + mean for block, mean in zip(seen, means, strict=True))
    assert greatest(looks, described(looks, stronger, BOX)) == pytest.approx(1.0, abs=1e-5)
    assert greatest(looks, described(looks, seen, ELSEWHERE)) < 0.2
    assert greatest(looks, described(looks, features(1), BOX)) < 0.2


def test_likeness_to_the_first_look_is_told_apart_from_that_to_any() -> None:
    looks = book_of([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]).looks
    likeness = looks.likeness(F.normalize(torch.tensor([[0.6, 0.8, 0.0]]), dim=1))
    assert [float(value) for value in likeness] == pytest.approx([0.6, 0.8, 0.0])


def test_what_is_something_else_is_remembered_apart() -> None:
    book = book_of([1.0, 0.0, 0.0], [0.8, 0.6, 0.0])
    seen = torch.tensor([[0.0, 0.6, 0.8]])
    assert float(book.looks.likeness(seen).others) == 0.0
    other = book.with_other(torch.tensor([[0.0, 0.0, 1.0]]))
    assert [float(v) for v in other.looks.likeness(seen)] == pytest.approx([0.0, 0.36, 0.8])
    assert torch.equal(other.looks.known, book.looks.known) and other.taken == book.taken
    # They are kept diverse like the target's own, and none of them for ever.
    for row in ([0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.6, 0.8]):
        other = other.with_other(torch.tensor([row]))
    assert other.others_taken == 3
    assert other.looks.others[0].tolist() == [seen[0].tolist(), [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]


def test_what_was_far_can_be_taken_back_until_the_target_was_seen_beside_something() -> None:
    beside, far, farther = (torch.eye(3)[None, row] for row in (2, 1, 0))
    book = book_of([1.0, 0.0, 0.0]).with_other(beside)
    away = book.with_far(far).with_far(farther)
    assert [float(away.looks.likeness(row).others) for row in (beside, far, farther)] == [1, 1, 1]
    back = away.without_far()
    assert [float(back.looks.likeness(row).others) for row in (beside, far, farther)] == [1, 0, 0]
    assert back.others_taken == book.others_taken == 1
    assert back.without_far() is back
    stays = away.with_other(beside).without_far()
    assert float(stays.looks.likeness(far).others) == 1


def test_a_restored_book_knows_nothing_else() -> None:
    book = book_of([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]).with_other(torch.tensor([[0.0, 0.0, 1.0]]))
    restored = LookBook.restored(book.looks, 3)
    assert torch.equal(restored.looks.known, book.looks.known)
    assert not restored.looks.others.any() and restored.others_taken == 0
    assert restored.with_other(torch.ones(1, 3)).looks.others[0, 0].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("capacity", [1, 2, 3, 8])
def test_the_first_look_never_goes(capacity: int) -> None:
    book = LookBook.start(features(0), BOX, capacity)
    descriptors = [described(book.looks, features(seed), BOX) for seed in range(12)]
    for descriptor in descriptors[1:]:
        book = book.with_look(descriptor)
    assert book.looks.known.shape[:2] == (1, capacity)
    assert torch.equal(book.looks.known[:, 0], descriptors[0])
    kept = [greatest(book.looks, descriptor) > 0.99 for descriptor in descriptors]
    assert sum(kept) == capacity


def test_a_free_place_is_taken_before_any_look_goes() -> None:
    book = LookBook.start(features(0), BOX, 4)
    descriptors = [described(book.looks, features(seed), BOX) for seed in range(4)]
    for count, descriptor in enumerate(descriptors[1:], start=2):
        book = book.with_look(descriptor)
        assert book.taken == count
        kept = [greatest(book.looks, each) > 0.99 for each in descriptors]
        assert kept == [True] * count + [False] * (4 - count)


def test_of_two_looks_that_resemble_each_other_one_goes() -> None:
    book = book_of([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.1, 1.0])
    alike = F.normalize(torch.tensor([[0.0, 0.98, 0.05]]), dim=1)
    for _ in range(10):  # shown for long, it still takes one place
        book = book.with_look(alike)
    assert greatest(book.looks, alike) > 0.999
    for row in ([1.0, 0.0, 0.0], [0.0, 0.1, 1.0]):
        assert greatest(book.looks, F.normalize(torch.tensor([row]), dim=1)) > 0.999


def test_what_resembles_the_first_look_gives_way_to_what_does_not() -> None:
    book = book_of([1.0, 0.0, 0.0], [0.99, 0.1, 0.0], [0.0, 0.0, 1.0])
    book = book.with_look(torch.tensor([[0.0, 1.0, 0.0]]))
    known = book.looks.known[0]
    assert known[0].tolist() == [1.0, 0.0, 0.0]
    assert {tuple(row) for row in known[1:].tolist()} == {(0.0, 1.0, 0.0), (0.0, 0.0, 1.0)}


def test_a_book_is_a_value() -> None:
    book = LookBook.start(features(0), BOX, 2)
    before = book.looks.known.clone()
    descriptor = described(book.looks, features(1), BOX)
    book.with_look(descriptor).with_look(described(book.looks, features(2), BOX))
    assert torch.equal(book.looks.known, before) and book.taken == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        book.taken = 2  # type: ignore[misc]


def test_a_batch_is_compared_target_by_target() -> None:
    one, two = features(0), features(1)
    both = torch.cat((one[0], two[0])), torch.cat((one[1], two[1]))
    boxes = torch.cat((BOX, ELSEWHERE))
    first = LookBook.start(one, BOX, 4).looks
    second = LookBook.start(two, ELSEWHERE, 4).looks
    looks = join([first, second])
    descriptors = described(looks, both, boxes)
    assert torch.allclose(descriptors[:1], described(first, one, BOX), atol=1e-6)
    assert torch.allclose(descriptors[1:], described(second, two, ELSEWHERE), atol=1e-6)
    assert looks.likeness(descriptors)[1].tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    swapped = join([second, first])
    assert float(swapped.likeness(described(swapped, both, boxes))[1].max()) < 0.2
