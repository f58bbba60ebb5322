"""One package for Humble, Jazzy, Kilted and Lyrical: what it takes of rclpy is in all of them."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from rclpy_surfaces import (
    DISTRIBUTIONS,
    NEWER_NODE_METHODS,
    NODE_METHODS,
    surface,
)

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = sorted(path.stem for path in (ROOT / "dcfst_ros").glob("*.py"))

IMPORT_ALL = """
import importlib, sys
sys.path[:0] = [{root!r}, {here!r}]
import torch
from rclpy_surfaces import install_stub
install_stub({distribution!r})
for name in {modules!r}:
    importlib.import_module("dcfst_ros." + name)
from dcfst_ros import compatibility

class Node:
    events = timers = None
    def create_subscription(self, *arguments, event_callbacks):
        if hasattr(event_callbacks, "message_lost"):
            raise compatibility.UnsupportedEventTypeError
        self.events = event_callbacks
        return "subscription"
    def create_timer(self, period, callback, clock):
        self.timers = (period, clock.clock_type)

node = Node()
given = dict(incompatible_qos=print, message_lost=print)
made = compatibility.subscribe(node, None, "image", print, None, **given)
assert made == "subscription" and node.events.incompatible_qos is print
compatibility.steady_timer(node, 0.5, print)
assert node.timers == (0.5, "STEADY_TIME")
print(*compatibility.discovery_on_this_machine())
"""


@pytest.mark.ros
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_module_imports_with_what_each_distribution_has(distribution: str) -> None:
    pytest.importorskip("vision_msgs")
    code = IMPORT_ALL.format(
        root=str(ROOT),
        here=str(ROOT / "test" / "ros"),
        distribution=distribution,
        modules=[name for name in MODULES if name != "__init__"],
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    humble = distribution == "humble"
    wanted = "ROS_LOCALHOST_ONLY" if humble else "ROS_AUTOMATIC_DISCOVERY_RANGE"
    assert done.stdout.split() == [wanted]


@pytest.mark.ros
def test_no_method_of_a_node_is_used_that_humble_lacks() -> None:
    lifecycle = pytest.importorskip("rclpy.lifecycle")
    known = {name for name in dir(lifecycle.LifecycleNode) if not name.startswith("__")}
    used: dict[str, str] = {}
    for path in (ROOT / "dcfst_ros").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in known:
                used[node.attr] = path.name
    private = {name for name in used if name.startswith("_") and name not in NODE_METHODS}
    # The one private method that is replaced, see ParameterNode; its name is rclpy's in all four.
    assert private <= {"_LifecycleNodeMixin__change_state"}
    missing = set(used) - NODE_METHODS - private
    assert not missing, {name: used[name] for name in missing}
    assert {"create_subscription", "get_parameter"} <= set(used), "the check looks at something"
    assert not set(used) & NEWER_NODE_METHODS


@pytest.mark.ros
def test_the_stubs_are_what_the_installed_rclpy_has() -> None:
    pytest.importorskip("rclpy")
    from rclpy.lifecycle import LifecycleNode

    installed = "humble" if not hasattr(LifecycleNode, "add_post_set_parameters_callback") else ""
    modules = surface(installed or "jazzy")
    if not installed and importlib.util.find_spec("rclpy.qos_event") is None:
        modules = surface("lyrical")
    for module, names in modules.items():
        real = importlib.import_module(module)
        assert not [name for name in names if not hasattr(real, name)], module
    own = NODE_METHODS - {"_parameter_overrides"}
    assert not [name for name in own if not hasattr(LifecycleNode, name)]
