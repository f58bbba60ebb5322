"""Named tuples of tensors, joined and picked as one thing."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dcfst_core.network.rows import join, pick


class Inner(NamedTuple):
    left: Tensor
    right: Tensor


class Outer(NamedTuple):
    inner: Inner
    plain: tuple[Tensor, Tensor]
    single: Tensor


def outer(rows: int) -> Outer:
    a, b, c, d, e = (k + torch.arange(rows)[:, None] for k in (0.0, 10.0, 20.0, 30.0, 40.0))
    return Outer(Inner(a, b), (c, d), e)


def test_join_puts_the_rows_one_below_the_other() -> None:
    ones = [Inner(torch.full((1, 2), k), torch.full((1, 3), -k)) for k in (1.0, 2.0, 3.0)]
    joined = join(ones)
    assert isinstance(joined, Inner)
    assert joined.left[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert joined.right.shape == (3, 3)
    assert join(ones[:1]) is ones[0]


def test_pick_takes_rows_at_every_depth_and_keeps_the_types() -> None:
    rows = outer(4)
    for index, expected in ((slice(1, 3), [1.0, 2.0]), (torch.tensor([3, 0]), [3.0, 0.0])):
        picked = pick(rows, index)
        assert isinstance(picked, Outer) and isinstance(picked.inner, Inner)
        assert type(picked.plain) is tuple
        tensors = (*picked.inner, *picked.plain, picked.single)
        for k, tensor in zip((0, 10, 20, 30, 40), tensors, strict=True):
            assert (tensor[:, 0] - k).tolist() == expected


def test_what_was_picked_joins_to_the_whole() -> None:
    rows = outer(3).inner
    whole = join([pick(rows, slice(k, k + 1)) for k in range(3)])
    assert torch.equal(whole.left, rows.left) and torch.equal(whole.right, rows.right)
