"""Running a node from start to end: signals end it cleanly, whenever they come."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from dcfst_core.errors import is_out_of_memory
from dcfst_ros.fast_dds import use_image_profile
from dcfst_ros.interrupts import restore_signals

# What rclpy says when there is no memory for the Python object of a message.
_NOT_TAKEN = "Unable to convert call argument"
SomeNode = TypeVar("SomeNode", bound=Node)
# Kept to the end of the process: on a signal a thread of rclpy wakes every executor, and may be at
# it still when the loop has ended. One that is freed meanwhile is a segmentation fault.
_executors: list[SingleThreadedExecutor] = []


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


def make_executor(node: Node) -> SingleThreadedExecutor:
    """An executor with this node, for the rest of the process."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    _executors.append(executor)
    return executor


def spin(node: Node) -> None:
    """Spin a node until ROS is shut down."""
    executor = make_executor(node)
    while rclpy.ok():
        try:
            # Not for ever: a signal just before a wait may go unnoticed by it.
            executor.spin_once(timeout_sec=0.2)
        except (MemoryError, RuntimeError) as error:
            if not (is_out_of_memory(error) or _NOT_TAKEN in str(error)):
                raise
            node.get_logger().error(
                "no memory left to take a message, which is lost; the node goes on",
                throttle_duration_sec=5.0,
            )
