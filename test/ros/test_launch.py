"""Launch and configuration files: readable everywhere, loaded for real where ROS's launch is."""

from __future__ import annotations

import ast
import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
LAUNCH = ROOT / "launch" / "tracker.launch.py"
WANTED = {
    "image_topic",
    "camera_info_topic",
    "image_transport",
    "namespace",
    "params_file",
    "weights",
    "device",
    "autostart",
    "use_sim_time",
    "click_init",
    "rviz",
    "log_level",
}


def declared_arguments() -> dict[str, str]:
    """Name and description of the launch arguments, read without importing launch."""
    for node in ast.parse(LAUNCH.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "ARGUMENTS":
            return {row.elts[0].value: row.elts[2].value for row in node.value.elts}
    raise AssertionError("expected ARGUMENTS in the launch file")


def test_every_launch_argument_is_declared_and_explained() -> None:
    found = declared_arguments()
    assert set(found) >= WANTED
    assert all(len(text) > 8 for text in found.values())


def test_the_launch_file_loads_with_a_real_launch() -> None:
    pytest.importorskip("launch_ros")
    spec = importlib.util.spec_from_file_location("tracker_launch", LAUNCH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    description = module.generate_launch_description()
    assert {a.name for a in description.get_launch_arguments()} >= WANTED


def test_the_rviz_configuration_is_ready_for_clicks() -> None:
    config = yaml.safe_load((ROOT / "config" / "tracker.rviz").read_text())
    manager = config["Visualization Manager"]
    kinds = {display["Class"].split("/")[1] for display in manager["Displays"]}
    assert kinds == {"Camera", "Marker", "Image"}
    (tool,) = [t for t in manager["Tools"] if t["Class"].endswith("PublishPoint")]
    assert tool["Single click"] is False and tool["Topic"]["Value"] == "/clicked_point"


def test_the_fastdds_profile_is_well_formed_and_large() -> None:
    root = ElementTree.parse(ROOT / "config" / "fastdds_images.xml").getroot()
    space = {"f": "http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"}
    size = root.find(".//f:segment_size", space)
    assert size is not None and int(size.text) >= 64 * 1024 * 1024
    kinds = {e.text for e in root.findall(".//f:transport_descriptor/f:type", space)}
    assert kinds == {"SHM", "UDPv4"}
