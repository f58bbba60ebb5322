"""The tables of docs/ros.md against the running node: every topic, type and service, no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from ros_bench import Bench  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
ROW = re.compile(r"^\| (in|out|srv) \| `([^`]+)` \| (\w+)/(\w+) \|", re.M)
# What every lifecycle node has.
OF_ROS = {"/rosout", "/parameter_events", "/tracker/transition_event", "/clock"}


def documented(kind: str) -> dict[str, str]:
    """Full names and types of the table in docs/ros.md."""
    rows = ROW.findall((ROOT / "docs" / "ros.md").read_text())
    middle = "srv" if kind == "srv" else "msg"

    def full(name: str) -> str:
        return name.replace("~", "/tracker") if name[0] in "~/" else f"/{name}"

    return {full(n): f"{package}/{middle}/{t}" for k, n, package, t in rows if k == kind}


def test_topics_and_services_are_those_of_the_docs(shared: Bench) -> None:
    node = shared.node
    found = {
        "in": node.get_subscriber_names_and_types_by_node("tracker", "/"),
        "out": node.get_publisher_names_and_types_by_node("tracker", "/"),
        "srv": node.get_service_names_and_types_by_node("tracker", "/"),
    }
    for kind, pairs in found.items():
        here = {name: types[0] for name, types in pairs if name not in OF_ROS}
        if kind == "srv":  # ROS adds those of parameters, life cycle and types
            here = {n: t for n, t in here.items() if t.startswith("std_srvs/")}
        assert here == documented(kind), kind


def test_the_docs_name_only_parameters_that_exist() -> None:
    from dcfst_core import TrackerConfig
    from dcfst_ros.launching import ARGUMENTS
    from dcfst_ros.parameters import node_parameters, tracker_parameters

    known = {p.name for p in [*node_parameters(), *tracker_parameters(TrackerConfig.default())]}
    known |= {name for name, _, _ in ARGUMENTS}
    places = ("README.md", "docs/ros.md", "docs/troubleshooting.md", "docs/sros2.md")
    text = "".join((ROOT / place).read_text() for place in places)
    named = set(re.findall(r"`(tracker\.\w+)`", text)) - {"tracker.init", "tracker.update_all"}
    named |= set(re.findall(r"-p (\w+):=", text)) | set(re.findall(r"`(\w+):=\w*`", text))
    assert named and named <= known, named - known
