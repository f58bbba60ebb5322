"""Running a node from start to end: signals end it cleanly, whenever they come."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy._rclpy_pybind11 import RCLError
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from dcfst_ros.fast_dds import use_image_profile
from dcfst_ros.interrupts import restore_signals
from dcfst_ros.parameter_server import ParameterError

SomeNode = TypeVar("SomeNode", bound=Node)


@contextmanager
def until_stopped() -> Iterator[None]:
    """Leave the block on Ctrl-C, SIGTERM or a shutdown of ROS; other errors pass through.

    A signal invalidates the ROS context at once, also in the middle of making a node: the RCLError
    that follows is the signal's and not a fault.
    """
    try:
        yield
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RCLError:
        if rclpy.ok():
            raise


def describe(text: str) -> ParameterDescriptor:
    """A parameter descriptor with a description."""
    return ParameterDescriptor(description=text)


def run_node(
    make: Callable[[], SomeNode],
    work: Callable[[SomeNode], int | None],
    args: list[str] | None = None,
    finish: Callable[[SomeNode], None] = lambda node: None,
) -> int:
    """Make a node, let it work until it is done or stopped, finish and destroy it.

    Returns the exit code that `work` returns; 0 for None, and when a signal ended it. Images have
    room in Fast DDS (see `fast_dds`); raises ProfileError for a profile that cannot be read.
    """
    profile = use_image_profile(os.environ)
    restore_signals()
    rclpy.init(args=args)
    node: SomeNode | None = None
    code = 0
    try:
        with until_stopped():
            node = make()
            node.get_logger().debug(profile)
            code = work(node) or 0
    finally:
        if node is not None:
            finish(node)
            node.destroy_node()
        rclpy.try_shutdown()
    return code


def spin(node: Node) -> None:
    """Spin a node until ROS is shut down."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while rclpy.ok():
        # Not for ever: a signal just before a wait may go unnoticed by it.
        executor.spin_once(timeout_sec=0.2)


def declare_values(node: Node, table: Sequence[tuple[str, Any, str]]) -> dict[str, Any]:
    """Declare (name, default, help) and return the values by name, of the defaults' types.

    On a command line `10` is an integer also where 10.0 or a file's name is meant: numbers are
    taken for floats and for text. Raises ParameterError for what cannot be meant.
    """
    values = {}
    for name, default, text in table:
        descriptor = ParameterDescriptor(description=text, dynamic_typing=True)
        values[name] = _as_type_of(default, node.declare_parameter(name, default, descriptor))
    return values


def _as_type_of(default: Any, parameter: Any) -> Any:
    value, kind = parameter.value, type(default)
    if type(value) is kind:
        return value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and kind is str:
        return str(value)
    if isinstance(value, int) and number and kind is float:
        return float(value)
    raise ParameterError(
        f"parameter {parameter.name}: expected a {kind.__name__}, for example {default!r}; got "
        f"{value!r}"
    )
