"""The SROS 2 policy of the tracker node: what it may send, hear and serve, and nothing else.

    python -m dcfst_ros.sros2_policy --ros-args -r image:=/camera/image_raw > tracker.policy.xml

Takes the arguments that tracker_node takes. It is not written from a list: the node is started
with them, in a ROS domain of its own, and asked for what it has once it gets images. So it fits
the release of ROS that it is made with.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from tempfile import TemporaryFile
from xml.etree import ElementTree

import rclpy
from rclpy.node import Node

from dcfst_ros.image_input import MESSAGES, image_topic
from dcfst_ros.processes import private_environment, stop

START_S, SETTLE_S = 120.0, 3.0
NODE = "tracker"


@dataclass(frozen=True)
class Graph:
    """Full names of what one node has; what every node hears of itself is among it."""

    publishes: frozenset[str]
    subscribes: frozenset[str]
    serves: frozenset[str]
    calls: frozenset[str]


def graph_of(looker: Node, name: str, namespace: str) -> Graph:
    """What a node has, as the middleware tells another one; rclpy's NodeNameNonExistentError."""
    asked = (
        looker.get_publisher_names_and_types_by_node,
        looker.get_subscriber_names_and_types_by_node,
        looker.get_service_names_and_types_by_node,
        looker.get_client_names_and_types_by_node,
    )
    return Graph(*(frozenset(n for n, _ in ask(name, namespace)) for ask in asked))


def policy(graph: Graph, name: str, namespace: str) -> str:
    """The policy's XML, for `ros2 security create_permission`."""
    root = ElementTree.Element("policy", version="0.2.0")
    path = f"{namespace.rstrip('/')}/{name}"
    enclave = ElementTree.SubElement(
        ElementTree.SubElement(root, "enclaves"), "enclave", path=path
    )
    profiles = ElementTree.SubElement(enclave, "profiles")
    profile = ElementTree.SubElement(profiles, "profile", ns=namespace, node=name)

    def allow(kind: str, right: str, names: Iterable[str]) -> None:
        if names:
            group = ElementTree.SubElement(profile, f"{kind}s", {right: "ALLOW"})
            for full_name in sorted(names):
                ElementTree.SubElement(group, kind).text = full_name

    allow("service", "reply", graph.serves)
    allow("service", "request", graph.calls)
    allow("topic", "publish", graph.publishes)
    allow("topic", "subscribe", graph.subscribes)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


class Camera(Node):
    """Offers images by the names that the tracker listens to, and looks at its graph."""

    def __init__(self) -> None:
        super().__init__("policy_writer")
        self._cameras = [
            self.create_publisher(kind, image_topic(self, transport), 5)
            for transport, kind in MESSAGES.items()
        ]

    def graph(self, seconds: float) -> Graph | None:
        """What the tracker has once it listens to images; None if it does not within the time."""
        namespace = self.get_namespace()
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            time.sleep(0.5)
            if (NODE, namespace) not in self.get_node_names_and_namespaces():
                continue
            if any(p.get_subscription_count() for p in self._cameras):
                time.sleep(SETTLE_S)  # the last of its names are on their way
                return graph_of(self, NODE, namespace)
        return None


def main(args: list[str] | None = None) -> int:
    """Print the policy for these arguments of tracker_node; returns the exit code."""
    given = sys.argv[1:] if args is None else args
    os.environ.update(private_environment())
    command = [sys.executable, "-m", "dcfst_ros.tracker_node", *given]
    with TemporaryFile("w+") as log:
        tracker = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        rclpy.init(args=given)
        try:
            camera = Camera()
            graph, namespace = camera.graph(START_S), camera.get_namespace()
        finally:
            stop(tracker)
            rclpy.try_shutdown()
        if graph is None:
            log.seek(0)
            said = log.read().strip()
            print(f"sros2_policy: the tracker did not listen to images:\n{said}", file=sys.stderr)
            return 1
    print(policy(graph, NODE, namespace), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
