"""What differs between the ROS 2 distributions, in one place: Humble, Jazzy, Kilted, Lyrical.

Decided by what rclpy has, not by names of distributions: a patch release may bring it earlier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError

    IS_HUMBLE = False
except ImportError:
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

    IS_HUMBLE = True


def subscribe(
    node: Node,
    message_type: Any,
    topic: str,
    callback: Callable[[Any], None],
    qos: Any,
    incompatible_qos: Callable[[Any], None],
    message_lost: Callable[[Any], None],
) -> Any:
    """A subscription with event callbacks, as many of them as the middleware has."""
    wanted = {"incompatible_qos": incompatible_qos, "message_lost": message_lost}
    while True:
        events = SubscriptionEventCallbacks(**wanted, use_default_callbacks=False)
        try:
            return node.create_subscription(
                message_type, topic, callback, qos, event_callbacks=events
            )
        except UnsupportedEventTypeError:
            if not wanted:
                raise
            wanted.popitem()


def steady_timer(node: Node, period_s: float, callback: Callable[[], None]) -> Any:
    """A timer that goes on where ROS time stands still: simulated time without a /clock."""
    return node.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))


def discovery_on_this_machine() -> dict[str, str]:
    """The environment in which nodes see only those of this machine."""
    if IS_HUMBLE:
        return {"ROS_LOCALHOST_ONLY": "1"}
    return {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
