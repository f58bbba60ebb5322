"""Parameters of the small nodes, given in whatever type the command line makes of them."""

from __future__ import annotations

import math
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node


class ParameterValueError(ValueError):
    """A parameter with a value that cannot be used."""


def declare(
    node: Node, name: str, default: Any, help_text: str, least: float | None = None
) -> Any:
    """Declare a parameter and return its value in the type of its default.

    `source:=0` and `rate_hz:=10` are integers to ROS; here they are what is wanted, a text and a
    number. `least`: the smallest number allowed. Raises ParameterValueError for what cannot be
    read as that type, or is too small.
    """
    descriptor = ParameterDescriptor(description=help_text, dynamic_typing=True)
    given = node.declare_parameter(name, default, descriptor).value
    value = _converted(name, default, given)
    if least is not None and not (math.isfinite(value) and value >= least):
        raise ParameterValueError(f"{name}: expected {least:g} or more, got {given!r}")
    return value


def _converted(name: str, default: Any, given: Any) -> Any:
    if isinstance(default, bool):
        if isinstance(given, bool):
            return given
    elif isinstance(default, str):
        several = not isinstance(given, (str, bool, int, float))
        return ",".join(f"{v:g}" for v in given) if several else str(given)
    elif not isinstance(given, (bool, str)):
        try:
            value = type(default)(given)
        except (TypeError, ValueError, OverflowError):
            value = None
        if value is not None and (value == given or math.isnan(value)):
            return value
    kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
    raise ParameterValueError(f"{name}: expected {kind}, got {given!r}")
