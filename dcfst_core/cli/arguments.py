"""What argparse does not do: boxes that begin with a minus, and small checks of values."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

_NEGATIVE_LIST = re.compile(r"\s*-\s*(\d|\.\d|inf|nan)[^-]*[,;]")


def with_negative_boxes(arguments: Sequence[str]) -> list[str]:
    """Join `--init -20,-10,60,60` to `--init=-20,-10,60,60`, which argparse takes for a value."""
    joined: list[str] = []
    for argument in arguments:
        option = joined[-1] if joined else ""
        if re.fullmatch(r"--[a-z-]+", option) and _NEGATIVE_LIST.match(argument):
            joined[-1] = f"{option}={argument}"
        else:
            joined.append(argument)
    return joined


def whole_number(text: str) -> int:
    """Argument type: a whole number of 0 or more."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of 0 or more; got {text!r}")
    return value
