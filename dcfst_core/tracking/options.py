"""Settings that know their help, their range, and whether they may change while tracking."""

from __future__ import annotations

import dataclasses
import numbers
from dataclasses import field
from typing import Any


def option(
    default: Any,
    help: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    live: bool = True,
) -> Any:
    """A dataclass field with its help text, permitted values, and whether it may change live."""
    return field(
        default=default,
        metadata={"help": help, "low": low, "high": high, "choices": choices, "live": live},
    )


def checked_option(spec: dataclasses.Field[Any], value: Any) -> Any:
    """The value as the field's own Python type.

    Numbers of NumPy's types are accepted. Raises ValueError naming the field of an `option`, its
    value and what is permitted.
    """
    kind = type(spec.default)
    value = _plain(value, kind)
    accepted = (int, float) if kind is float else (kind,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{spec.name}: expected {kind.__name__}, got {value!r}")
    choices = spec.metadata["choices"]
    if choices is not None and value not in choices:
        raise ValueError(f"{spec.name}: expected one of {choices}, got {value!r}")
    low, high = spec.metadata["low"], spec.metadata["high"]
    if low is not None and not low <= value <= high:
        raise ValueError(f"{spec.name}: expected {low} to {high}, got {value}")
    return value


def _plain(value: Any, kind: type) -> Any:
    """NumPy's numbers as Python's; everything else as it is."""
    if kind is float and type(value) is int:
        return float(value)
    if type(value) in (bool, int, float, str):
        return value
    if kind is bool and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return float(value) if kind is float else int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    return value
