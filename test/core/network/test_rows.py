"""Named tuples of tensors, joined, picked and moved as one thing."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dcfst_core.network.rows import join, on_device, pick


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


def test_a_copy_on_the_same_device_is_its_own_and_what_is_no_copy_is_not() -> None:
    for rows in (outer(2).inner, outer(2).plain):
        same = on_device(rows, "cpu")
        copy = on_device(rows, torch.device("cpu"), copy=True)
        assert type(same) is type(copy) is type(rows)
        for given, there, own in zip(rows, same, copy, strict=True):
            assert there.data_ptr() == given.data_ptr()
            assert own.data_ptr() != given.data_ptr()
            assert torch.equal(own, given)


def test_rows_move_to_another_device() -> None:
    moved = on_device(outer(2).inner, "meta")
    assert isinstance(moved, Inner)
    assert {tensor.device.type for tensor in moved} == {"meta"}
    assert moved.left.shape == (2, 1)
