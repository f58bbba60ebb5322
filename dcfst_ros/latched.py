"""A latched topic whose late subscribers get the newest message of each id, and nothing older."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.node import Node

from dcfst_ros.qos import latched_qos

# Ids that are over may be many (a detector that numbers its boxes); so many are remembered.
REMEMBERED = 32


class LatchedById:
    """One publisher for each id, all on one topic; thread-safe.

    DDS keeps a history for each publisher, not for each value of a field: with one publisher for
    all ids, late subscribers would get old states of one id and miss another's.
    """

    def __init__(self, node: Node, message_type: Any, topic: str) -> None:
        self._node = node
        self._message_type = message_type
        self._topic = topic
        self._lock = threading.Lock()
        self._publishers: dict[str, Any] = {}
        self._over: dict[str, None] = {}
        # Known to all subscribers before it is needed, so that also those that are not
        # transient local get a new id's first message.
        self._spare = self._create()

    def publish(self, target_id: str, message: Any, over: bool) -> None:
        """Publish the newest of an id; `over`: the id may be forgotten when others need room."""
        with self._lock:
            publisher = self._publishers.pop(target_id, None) or self._free_publisher()
            self._publishers[target_id] = publisher
            self._over.pop(target_id, None)
            if over:
                self._over[target_id] = None
            publisher.publish(message)

    def destroy(self) -> None:
        """Take the topic away."""
        with self._lock:
            for publisher in (*self._publishers.values(), self._spare):
                self._node.destroy_publisher(publisher)
            self._publishers.clear()

    def _free_publisher(self) -> Any:
        if len(self._publishers) >= REMEMBERED and self._over:
            oldest = next(iter(self._over))
            del self._over[oldest]
            return self._publishers.pop(oldest)
        publisher, self._spare = self._spare, self._create()
        return publisher

    def _create(self) -> Any:
        return self._node.create_publisher(self._message_type, self._topic, latched_qos())
