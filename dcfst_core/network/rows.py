"""Named tuples of tensors with one row for each target: joined and picked as one thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

Rows = TypeVar("Rows", bound="tuple[Any, ...]")


def join(parts: Sequence[Rows]) -> Rows:
    """Several targets' tuples of tensors (1, ...) as one of (B, ...)."""
    if len(parts) == 1:
        return parts[0]
    return _like(parts[0], [torch.cat(tensors) for tensors in zip(*parts, strict=True)])


def pick(rows: Rows, index: Tensor | slice) -> Rows:
    """Some rows of each tensor, also of tuples within the tuple."""
    return _like(
        rows, [pick(part, index) if isinstance(part, tuple) else part[index] for part in rows]
    )


def on_device(rows: Rows, device: torch.device | str, copy: bool = False) -> Rows:
    """The same tensors on another device; `copy`: also where they are there already."""
    return _like(rows, [tensor.to(device, copy=copy) for tensor in rows])


def _like(kind: Rows, parts: list[Any]) -> Rows:
    return type(kind)(*parts) if hasattr(kind, "_fields") else type(kind)(parts)
