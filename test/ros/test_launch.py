"""Launch and configuration files: what the arguments do, and that nothing is started in vain."""

from __future__ import annotations

import importlib.util
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from launch_stub import Context, stub_modules

from dcfst_ros.fast_dds import VARIABLES
from dcfst_ros.launching import ARGUMENTS, LaunchError, death_of_tracker, make_plan

ROOT = Path(__file__).resolve().parent.parent.parent
LAUNCH = ROOT / "launch" / "tracker.launch.py"
DEFAULTS = {name: default for name, default, _ in ARGUMENTS}


@pytest.fixture
def prefix_of(tmp_path: Path) -> Any:
    """An installation with this package's executables and without rviz2."""
    folder = tmp_path / "lib" / "dcfst_ros"
    folder.mkdir(parents=True)
    for name in ("tracker_node", "click_init_node"):
        (folder / name).touch(mode=0o755)

    def find(package: str) -> str:
        if package != "dcfst_ros":
            raise LookupError(package)
        return str(tmp_path)

    return find


def plan(prefix_of: Any, environment: dict[str, str] | None = None, **given: str) -> Any:
    return make_plan({**DEFAULTS, **given}, ROOT, prefix_of, environment or {})


def test_an_argument_counts_only_when_it_is_given(prefix_of: Any) -> None:
    assert plan(prefix_of).parameters == {}
    assert plan(prefix_of).params_file == ROOT / "config" / "tracker.yaml"
    given = plan(
        prefix_of,
        device="cuda:1",
        weights="1",
        autostart="false",
        use_sim_time="True",
        tracker_preset="fast",
        image_transport="compressed",
    )
    assert given.parameters == {
        "device": "cuda:1",
        "weights": "1",
        "autostart": False,
        "use_sim_time": True,
        "tracker_preset": "fast",
        "image_transport": "compressed",
    }
    assert given.clock == {"use_sim_time": True}
    assert plan(prefix_of, namespace="robot1").topic("x/y") == "/robot1/x/y"
    assert plan(prefix_of).topic("x/y") == "/x/y"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"rviz": "true"}, "the package rviz2, which is not here: leave out rviz:=true"),
        ({"params_file": "/nowhere.yaml"}, "in /nowhere.yaml: no such file"),
        ({"autostart": "yes"}, "autostart: expected true or false, got 'yes'"),
        ({"fastdds_profile": "/nowhere.xml"}, "a Fast DDS profile at /nowhere.xml"),
    ],
)
def test_what_cannot_be_started_is_said_before_anything_is(
    prefix_of: Any, given: dict[str, str], expected: str
) -> None:
    with pytest.raises(LaunchError, match="expected") as raised:
        plan(prefix_of, **given)
    assert expected in str(raised.value)


def test_a_missing_executable_is_named(prefix_of: Any, tmp_path: Path) -> None:
    (tmp_path / "lib" / "dcfst_ros" / "click_init_node").unlink()
    assert plan(prefix_of).name == "tracker"
    with pytest.raises(LaunchError, match="an executable click_init_node in"):
        plan(prefix_of, click_init="true")


def test_images_have_room_unless_the_user_decides_otherwise(
    prefix_of: Any, tmp_path: Path
) -> None:
    shipped = str(ROOT / "config" / "fastdds_images.xml")
    assert plan(prefix_of).environment == {name: shipped for name in VARIABLES}
    own = tmp_path / "own.xml"
    own.write_text("<profiles/>")
    assert plan(prefix_of, {VARIABLES[0]: str(own)}).environment == {}
    assert plan(prefix_of, {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}).environment == {}
    given = plan(prefix_of, fastdds_profile=str(own)).environment
    assert given == {name: str(own) for name in VARIABLES}
    assert plan(prefix_of, fastdds_profile="none").environment == {"DCFST_FASTDDS_PROFILE": "none"}
    with pytest.raises(LaunchError, match="cannot be read"):
        plan(prefix_of, {VARIABLES[0]: str(tmp_path / "gone.xml")})


def test_the_launch_ends_with_the_tracker_and_fails_with_it() -> None:
    assert death_of_tracker(0, False, False) == ""
    assert "ended with -11" in (death_of_tracker(-11, False, False) or "")
    assert death_of_tracker(-2, True, False) is None  # Ctrl-C
    assert death_of_tracker(1, False, True) is None  # it is started again


def load(monkeypatch: pytest.MonkeyPatch, stubbed: bool) -> ModuleType:
    if stubbed:
        for name, module in stub_modules().items():
            monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("tracker_launch", LAUNCH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.ros
def test_the_launch_file_says_what_the_plan_says(
    monkeypatch: pytest.MonkeyPatch, prefix_of: Any
) -> None:
    pytest.importorskip("ament_index_python")
    module = load(monkeypatch, stubbed=True)
    monkeypatch.setattr(module, "get_package_prefix", prefix_of)
    monkeypatch.setattr(module, "get_package_share_directory", lambda name: str(ROOT))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    *declared, function = module.generate_launch_description().entities
    assert {a.name: a.default_value for a in declared} == DEFAULTS
    given = {"device": "cpu", "name": "eye", "namespace": "robot1", "click_init": "true"}
    context = Context({**DEFAULTS, **given})
    actions = {type(a).__name__: a for a in function.function(context)}
    nodes = [a for a in function.function(context) if type(a).__name__ == "Node"]
    tracker, click = nodes
    assert tracker.parameters[0] == str(ROOT / "config" / "tracker.yaml")
    assert {k: v.value for k, v in tracker.parameters[1].items()} == {"device": "cpu"}
    assert (tracker.name, tracker.namespace, tracker.respawn) == ("eye", "robot1", False)
    assert ("image", "/camera/image_raw") in tracker.remappings
    assert ("tracker/init_box", "eye/init_box") in click.remappings
    assert actions["SetEnvironmentVariable"].value.endswith("fastdds_images.xml")
    on_exit = actions["RegisterEventHandler"].event_handler.on_exit
    assert type(on_exit(SimpleNamespace(returncode=0), context)[0]).__name__ == "Shutdown"
    with pytest.raises(RuntimeError, match="ended with 1"):
        on_exit(SimpleNamespace(returncode=1), context)
    context.is_shutdown = True
    assert on_exit(SimpleNamespace(returncode=-2), context) == []
    with pytest.raises(LaunchError, match="rviz2"):
        function.function(Context({**DEFAULTS, "rviz": "true"}))


def test_the_launch_file_loads_and_runs_under_the_real_launch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("launch_ros")
    from launch import LaunchDescription, LaunchService
    from launch.actions import SetLaunchConfiguration

    module = load(monkeypatch, stubbed=False)
    description = module.generate_launch_description()
    assert isinstance(description, LaunchDescription)
    assert {a.name for a in description.get_launch_arguments()} == set(DEFAULTS)
    service = LaunchService()
    wrong = SetLaunchConfiguration("params_file", "/nowhere.yaml")
    service.include_launch_description(LaunchDescription([wrong, *description.entities]))
    assert service.run() == 1


def test_the_example_launch_files_use_arguments_and_executables_that_exist() -> None:
    root = ElementTree.parse(ROOT / "launch" / "two_cameras.launch.xml").getroot()
    includes = root.findall("include")
    assert len(includes) == 2
    for include in includes:
        assert str(include.get("file")).endswith("/launch/tracker.launch.py")
        assert {arg.get("name") for arg in include.findall("arg")} <= set(DEFAULTS)
    entries = yaml.safe_load((ROOT / "launch" / "tracker_only.launch.yaml").read_text())["launch"]
    node = next(entry["node"] for entry in entries if "node" in entry)
    assert (node["pkg"], node["exec"]) == ("dcfst_ros", "tracker_node")
    assert f"{node['exec']} = " in (ROOT / "setup.py").read_text()


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
