"""Quality of service: choosing and explaining the images', and that of the state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

# Room for the newest state of each target, which all come at once to a late subscriber.
STATE_DEPTH = 100
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


def choose_reliability(publishers: Sequence[Any], wanted: str) -> ReliabilityPolicy:
    """Reliability to subscribe with: `wanted` is auto, reliable or best_effort.

    auto is reliable when all publishers offer it: large images over a best-effort subscription are
    lost in fragments when the middleware's buffers are small. With any best-effort publisher it is
    best effort, the only policy that receives from all.
    """
    if wanted == "reliable":
        return RELIABLE
    if wanted == "best_effort":
        return BEST_EFFORT
    all_reliable = all(info.qos_profile.reliability == RELIABLE for info in publishers)
    return RELIABLE if publishers and all_reliable else BEST_EFFORT


def image_qos(reliability: ReliabilityPolicy, depth: int) -> QoSProfile:
    """Volatile, keep-last profile for images."""
    return QoSProfile(reliability=reliability, history=HistoryPolicy.KEEP_LAST, depth=depth)


def state_qos() -> QoSProfile:
    """For subscribers of latched topics: a late one learns the present state of each target."""
    return _transient_local(STATE_DEPTH)


def latched_qos() -> QoSProfile:
    """For publishers of latched topics: each replays its newest message."""
    return _transient_local(1)


def _transient_local(depth: int) -> QoSProfile:
    return QoSProfile(
        depth=depth, reliability=RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
    )


def describe_publishers(publishers: Sequence[Any]) -> str:
    """One line about who publishes a topic and with which reliability and type."""
    if not publishers:
        return "no publishers"
    return ", ".join(
        f"{_full_name(info)} ({info.topic_type}, {info.qos_profile.reliability.name.lower()}, "
        f"{info.qos_profile.durability.name.lower()})"
        for info in publishers
    )


def _full_name(info: Any) -> str:
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"
