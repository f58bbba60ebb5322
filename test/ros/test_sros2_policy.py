"""The shipped SROS 2 policy allows exactly what a running node has, as DDS tells others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from ros_bench import Bench  # noqa: E402

from dcfst_ros.sros2_policy import Graph, policy  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
SHIPPED = (ROOT / "config" / "tracker.policy.xml").read_text()
# Made with this topic, as its head in docs/sros2.md says; the bench remaps nothing.
TOPIC = "/camera/image_raw"


def allowed(text: str) -> dict[str, set[str]]:
    """Names by `topic publish`, `topic subscribe`, `service reply`, ...; nothing may be denied."""
    found = {}
    for group in ElementTree.fromstring(text).iter():
        for right, decision in group.attrib.items():
            if group.tag in ("topics", "services", "actions"):
                assert decision == "ALLOW"
                found[f"{group.tag[:-1]} {right}"] = {name.text or "" for name in group}
    return found


def test_it_allows_what_the_node_has_and_nothing_else(shared: Bench) -> None:
    node, name = shared.node, ("tracker", "/")
    has = {
        "topic publish": node.get_publisher_names_and_types_by_node(*name),
        "topic subscribe": node.get_subscriber_names_and_types_by_node(*name),
        "service reply": node.get_service_names_and_types_by_node(*name),
        "service request": node.get_client_names_and_types_by_node(*name),
    }
    names = {right: {n for n, _ in pairs} for right, pairs in has.items() if pairs}
    assert names == allowed(SHIPPED.replace(TOPIC, "/image"))


def test_no_name_is_a_pattern() -> None:
    names = set().union(*allowed(SHIPPED).values())
    assert len(names) > 20 and not any(c in name for name in names for c in "*?[")


def test_the_xml_says_what_the_graph_says() -> None:
    graph = Graph(frozenset({"/a/out"}), frozenset(), frozenset({"/a/b", "/a/a"}), frozenset())
    text = policy(graph, "tracker", "/robot1")
    assert allowed(text) == {"topic publish": {"/a/out"}, "service reply": {"/a/a", "/a/b"}}
    assert '<enclave path="/robot1/tracker">' in text
    assert '<profile ns="/robot1" node="tracker">' in text


@pytest.mark.slow
@pytest.mark.usefixtures("own_domain")
@pytest.mark.parametrize("space", ["", "/robot1"])
def test_it_is_made_from_the_running_node(space: str, tmp_path: Path) -> None:
    arguments = ["--ros-args", "-r", f"image:={TOPIC}", "-r", f"__ns:={space or '/'}"]
    command = [sys.executable, "-m", "dcfst_ros.sros2_policy", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    expected = SHIPPED.replace("/tracker", f"{space}/tracker").replace(
        'ns="/"', f'ns="{space or "/"}"'
    )
    # Names are sorted: with another namespace they stand in another order.
    assert sorted(done.stdout.splitlines()) == sorted(expected.splitlines()), done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("own_domain")
def test_a_node_that_does_not_start_is_shown(tmp_path: Path) -> None:
    arguments = ["--ros-args", "-p", "device:=cuda:99", "-p", "image_transport:=nothing"]
    command = [sys.executable, "-m", "dcfst_ros.sros2_policy", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 1 and "did not listen to images" in done.stderr
