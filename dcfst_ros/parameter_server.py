"""Declaring the parameters on a node, reading them as settings, and accepting live changes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

from dcfst_core.tracking.config import TrackerConfig
from dcfst_ros.parameters import (
    TRACKER_PREFIX,
    NodeSettings,
    Parameter,
    node_parameters,
    preset,
    tracker_parameters,
)


class ParameterError(ValueError):
    """A parameter from the command line or a file that cannot be used."""


def declare_parameters(node: Node) -> dict[str, Parameter]:
    """Declare all parameters with descriptions and ranges; returns them by name.

    Raises ParameterError naming the parameter, what is permitted and what came.
    """
    declared: dict[str, Parameter] = {}
    for parameter in node_parameters():
        _declare(node, parameter, declared)
    try:
        defaults = preset(node.get_parameter("tracker_preset").value)
    except ValueError as error:
        raise ParameterError(str(error)) from None
    for parameter in tracker_parameters(defaults):
        _declare(node, parameter, declared)
    return declared


def read_settings(
    node: Node, declared: dict[str, Parameter]
) -> tuple[NodeSettings, TrackerConfig]:
    """The present values as checked settings; raises ValueError naming a bad one."""
    values = {name: node.get_parameter(name).value for name in declared}
    return build_settings(values)


def build_settings(values: dict[str, Any]) -> tuple[NodeSettings, TrackerConfig]:
    """Checked settings from parameter values by name; raises ValueError naming a bad one."""
    own = {n: v for n, v in values.items() if not n.startswith(TRACKER_PREFIX)}
    tracker = {
        n.removeprefix(TRACKER_PREFIX): v
        for n, v in values.items()
        if n.startswith(TRACKER_PREFIX)
    }
    return NodeSettings(**own), TrackerConfig.from_dict(tracker)


def judge_change(
    declared: dict[str, Parameter],
    current: dict[str, Any],
    changes: Sequence[Any],
    configured: bool,
) -> SetParametersResult:
    """Accept or refuse a change of parameters, with the reason."""
    ours = [
        change
        for change in changes
        if change.name in declared and change.value != current[change.name]
    ]
    for change in ours:
        if configured and not declared[change.name].live:
            return SetParametersResult(
                successful=False,
                reason=f"{change.name} shapes what is built on configure: deactivate and clean up "
                "the node first, or set it at start",
            )
    try:
        build_settings({**current, **{change.name: change.value for change in ours}})
    except (ValueError, TypeError) as error:
        return SetParametersResult(successful=False, reason=str(error))
    return SetParametersResult(successful=True)


def preset_changes(
    declared: dict[str, Parameter], explicit: Collection[str], name: str
) -> dict[str, Any]:
    """What a preset gives the tracker's parameters that nobody has set explicitly."""
    return {
        parameter.name: parameter.default
        for parameter in tracker_parameters(preset(name))
        if parameter.name in declared and parameter.name not in explicit
    }


def _declare(node: Node, parameter: Parameter, declared: dict[str, Parameter]) -> None:
    permitted = parameter.permitted()
    descriptor = ParameterDescriptor(
        description=parameter.help,
        additional_constraints=f"one of: {permitted}" if parameter.choices else "",
    )
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(parameter.low), to_value=float(parameter.high))
            ]
        elif isinstance(parameter.default, int):
            descriptor.integer_range = [
                IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high), step=1)
            ]
    try:
        node.declare_parameter(parameter.name, parameter.default, descriptor)
    except InvalidParameterTypeException:
        kind = type(parameter.default).__name__
        hint = " (write 1.0, not 1)" if kind == "float" else ""
        raise ParameterError(
            f"parameter {parameter.name}: expected a {kind}{hint}, for example "
            f"{parameter.default!r}"
        ) from None
    except InvalidParameterValueException as error:
        raise ParameterError(
            f"parameter {parameter.name}: expected {permitted}; {error}"
        ) from None
    declared[parameter.name] = parameter
