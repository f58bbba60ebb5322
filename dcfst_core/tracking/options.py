"""Settings that know their help, their range, and whether they may change while tracking."""

from __future__ import annotations

import dataclasses
import numbers
from dataclasses import field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcfst_core.tracking.config import TrackerConfig


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


def check_together(config: TrackerConfig) -> None:
    """ValueError for settings that do not go together."""
    if config.patch_size % 16:
        raise ValueError(f"patch_size: expected a multiple of 16, got {config.patch_size}")
    extent = (config.grid_size - 1) * config.grid_spacing
    if extent > config.patch_size:
        raise ValueError(
            f"grid_size, grid_spacing: expected a grid within patch_size = {config.patch_size}; "
            f"got {config.grid_size} RoIs that span {extent:g} px"
        )
    if config.memory == "average" and (config.update_grid_stride > 1 or config.recent_share > 0):
        raise ValueError(
            "memory: expected gram with update_grid_stride above 1 or a recent_share: a mean "
            "of data matrices needs matrices of one shape, and is one; set update_grid_stride "
            f"1 and recent_share 0 (got {config.update_grid_stride} and {config.recent_share:g})"
        )
    if config.precision == "int8" and not config.int8_file:
        raise ValueError(
            "precision: expected int8_file with int8, a file of eight-bit convolutions, which "
            "`dcfst export --int8 FILE --calibrate VIDEO` makes; got none"
        )
    if config.num_averaged > config.num_proposals:
        raise ValueError(
            f"num_averaged: expected at most num_proposals = {config.num_proposals}, "
            f"got {config.num_averaged}"
        )
    if config.first_frame_share + config.recent_share > 1:
        raise ValueError(
            "first_frame_share, recent_share: expected a sum of at most 1, got "
            f"{config.first_frame_share:g} + {config.recent_share:g}"
        )
    if not config.lost_threshold <= config.tracking_threshold <= config.learning_threshold:
        raise ValueError(
            "expected lost_threshold <= tracking_threshold <= learning_threshold, got "
            f"{config.lost_threshold:g}, {config.tracking_threshold:g}, "
            f"{config.learning_threshold:g}"
        )


def check_change(before: TrackerConfig, after: TrackerConfig) -> None:
    """ValueError for a change of settings that are fixed once a tracker was made."""
    changed = [
        spec.name
        for spec in dataclasses.fields(after)
        if not spec.metadata["live"] and getattr(after, spec.name) != getattr(before, spec.name)
    ]
    if changed:
        raise ValueError(f"expected {', '.join(changed)} as before: make a new Tracker")


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
