"""One definition of the parameters: declared, checked, documented."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dcfst_core import TrackerConfig
from dcfst_ros.parameters import (
    NodeSettings,
    document,
    node_parameters,
    preset,
    tracker_parameters,
)

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_parameter_is_explained_and_its_default_permitted() -> None:
    parameters = [*node_parameters(), *tracker_parameters(TrackerConfig.default())]
    assert len({p.name for p in parameters}) == len(parameters)
    for parameter in parameters:
        assert parameter.help
        if parameter.choices:
            assert parameter.default in parameter.choices
        if parameter.low is not None:
            assert parameter.low <= parameter.default <= parameter.high


def test_the_core_says_which_of_its_settings_are_live() -> None:
    fields = {f.name: f.metadata["live"] for f in dataclasses.fields(TrackerConfig)}
    parameters = tracker_parameters(TrackerConfig.default())
    assert {p.name.removeprefix("tracker."): p.live for p in parameters} == fields
    live = {p.name for p in node_parameters() if p.live}
    assert "max_targets" in live and not live & {"weights", "buffer_mb", "image_conversion"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"image_transport": "theora"}, r"image_transport: expected one of \('raw', 'compr"),
        ({"buffer_frames": 2.5}, "buffer_frames: expected int, got 2.5"),
        ({"max_targets": 0}, "max_targets: expected 1 to 1000, got 0"),
        ({"diagnostics_period_s": 1e9}, "diagnostics_period_s"),
    ],
)
def test_bad_settings_name_the_parameter(values: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        NodeSettings(**values)


def test_presets() -> None:
    assert preset("paper") == TrackerConfig.paper()
    with pytest.raises(ValueError, match="default, paper, released, fast, nano; got 'slow'"):
        preset("slow")


def test_the_shipped_file_has_only_known_parameters_and_their_defaults() -> None:
    shipped = yaml.safe_load((ROOT / "config" / "tracker.yaml").read_text())
    values = shipped["/**"]["ros__parameters"]
    defaults = {
        p.name: p.default
        for p in [*node_parameters(), *tracker_parameters(TrackerConfig.default())]
    }
    assert set(values) <= set(defaults)
    assert all(type(values[name]) is type(defaults[name]) for name in values)


def test_the_documented_tables_are_those_of_the_code() -> None:
    written = (ROOT / "docs" / "ros_parameters.md").read_text()
    assert written == document(), "run: python -m dcfst_ros.parameters > docs/ros_parameters.md"


@pytest.mark.ros
class TestDeclared:
    """The same on a real node."""

    @pytest.fixture
    def declare(self) -> Iterator[Any]:
        rclpy = pytest.importorskip("rclpy")
        from dcfst_ros.parameter_server import declare_parameters

        context = rclpy.Context()
        rclpy.init(context=context)
        nodes = []

        def make(**overrides: Any) -> Any:
            from rclpy.parameter import Parameter

            given = [Parameter(name.replace("__", "."), value=v) for name, v in overrides.items()]
            node = rclpy.create_node("params", context=context, parameter_overrides=given)
            nodes.append(node)
            return node, declare_parameters(node)

        yield make
        for node in nodes:
            node.destroy_node()
        rclpy.shutdown(context=context)

    def test_descriptions_and_ranges_are_there(self, declare: Any) -> None:
        node, declared = declare()
        for name, parameter in declared.items():
            descriptor = node.describe_parameter(name)
            assert descriptor.description == parameter.help
            assert not descriptor.read_only
        assert node.describe_parameter("buffer_frames").integer_range[0].to_value == 1000
        rate = node.describe_parameter("tracker.learning_rate").floating_point_range[0]
        assert (rate.from_value, rate.to_value) == (0.0, 1.0)

    def test_a_preset_changes_the_defaults_and_overrides_win(self, declare: Any) -> None:
        from dcfst_ros.parameter_server import read_settings

        node, declared = declare(tracker_preset="paper", tracker__looks=9)
        _, config = read_settings(node, declared)
        assert config == dataclasses.replace(TrackerConfig.paper(), looks=9)

    @pytest.mark.parametrize(
        ("overrides", "expected"),
        [
            (
                {"tracker__learning_rate": 1},
                r"tracker.learning_rate: expected a float \(write 1.0",
            ),
            ({"tracker__learning_rate": 7.0}, "tracker.learning_rate: expected 0 to 1"),
            ({"tracker_preset": "fastest"}, "one of default, paper, released, fast, nano"),
            ({"autostart": "yes"}, "autostart: expected a bool"),
        ],
    )
    def test_bad_values_at_start_name_the_parameter(
        self, declare: Any, overrides: dict[str, Any], expected: str
    ) -> None:
        from dcfst_ros.parameter_server import ParameterError

        with pytest.raises(ParameterError, match=expected):
            declare(**overrides)
