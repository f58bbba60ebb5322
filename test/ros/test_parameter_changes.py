"""Parameters as `ros2 param` sees them: dump and load, presets, in every lifecycle state."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from rcl_interfaces.srv import GetParameters, ListParameters, SetParameters  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_bench import DOUBTING, WAIT_S, Bench, scene  # noqa: E402

from dcfst_core import TrackerConfig  # noqa: E402


def dump(bench: Bench) -> list[Any]:
    """All parameters, as `ros2 param dump` asks for them."""
    listed = bench.call(ListParameters, "/tracker/list_parameters", ListParameters.Request())
    names = sorted(listed.result.names)
    request = GetParameters.Request(names=names)
    values = bench.call(GetParameters, "/tracker/get_parameters", request).values
    return [
        Parameter.from_parameter_msg(_message(name, value)).to_parameter_msg()
        for name, value in zip(names, values, strict=True)
    ]


def _message(name: str, value: Any) -> Any:
    from rcl_interfaces.msg import Parameter as ParameterMessage

    return ParameterMessage(name=name, value=value)


def load(bench: Bench, parameters: list[Any]) -> list[str]:
    """Set them as `ros2 param load` does; the reasons of those that failed."""
    request = SetParameters.Request(parameters=parameters)
    results = bench.call(SetParameters, "/tracker/set_parameters", request).results
    return [
        f"{p.name}: {r.reason}"
        for p, r in zip(parameters, results, strict=True)
        if not r.successful
    ]


def change(bench: Bench, name: str, value: object) -> list[str]:
    return load(bench, [Parameter(name, value=value).to_parameter_msg()])


def value_of(bench: Bench, name: str) -> Any:
    return Parameter.from_parameter_msg(next(p for p in dump(bench) if p.name == name)).value


def transition(bench: Bench, number: int) -> None:
    request = ChangeState.Request(transition=Transition(id=number))
    assert bench.call(ChangeState, "/tracker/change_state", request).success


def test_what_was_dumped_can_be_loaded_in_every_state_and_presets_have_effect(
    bench: Bench,
) -> None:
    bench.start(parameters={"autostart": False, "tracker.looks": 11})
    fast = TrackerConfig.fast()
    # Unconfigured: a preset changes what nobody has set, and only that.
    assert change(bench, "tracker.learning_rate", 0.5) == []
    assert change(bench, "tracker_preset", "fast") == []
    differing = next(
        f.name
        for f in dataclasses.fields(fast)
        if getattr(fast, f.name) != getattr(TrackerConfig.default(), f.name)
        and f.name not in ("patch_size", "grid_size", "update_interval")
    )
    assert value_of(bench, f"tracker.{differing}") == getattr(fast, differing)
    assert value_of(bench, "tracker.learning_rate") == 0.5
    assert value_of(bench, "tracker.looks") == 11
    assert value_of(bench, "tracker.patch_size") == 96  # of the test's own parameters
    unconfigured = dump(bench)
    assert len(unconfigured) > 50 and load(bench, unconfigured) == []
    transition(bench, Transition.TRANSITION_CONFIGURE)
    assert load(bench, dump(bench)) == []
    transition(bench, Transition.TRANSITION_ACTIVATE)
    present = dump(bench)
    assert load(bench, present) == []
    assert dump(bench) == present
    (reason,) = change(bench, "tracker_preset", "paper")
    assert "deactivate and clean up" in reason
    (reason,) = change(bench, "image_conversion", "perhaps")
    assert "image_conversion" in reason
    assert dump(bench) == present


def test_live_parameters_change_and_bad_ones_are_refused(shared: Bench) -> None:
    shared.begin(scene(0))

    def set_one(name: str, value: object) -> tuple[bool, str]:
        reasons = change(shared, name, value)
        return not reasons, "".join(reasons)

    assert not set_one("tracker.learning_rate", 7.0)[0]
    refused, reason = set_one("tracker.grid_size", 9)
    assert not refused and "deactivate and clean up" in reason
    refused, reason = set_one("image_reliability", "perhaps")
    assert not refused
    try:
        for name, value in DOUBTING.items():
            assert set_one(name, value) == (True, "")
        answers = shared.follow([scene(1), scene(2)])
        assert len(answers[-1].detections) == 0  # the new threshold is in force
        assert set_one("tracker.tracking_threshold", 0.0)[0]
        assert set_one("tracker.box_refinement", True) == (True, "")

        def is_refined() -> bool:
            shared.follow([scene(3)])
            told = [item for array in shared.diagnostics for item in array.status[0].values]
            return "stage refine (ms)" in {item.key for item in told}

        shared.until(is_refined, "a frame in which the box is refined")
    finally:
        assert set_one("tracker.tracking_threshold", 0.0)[0]
        assert set_one("tracker.learning_threshold", 0.8)[0]
        assert set_one("tracker.box_refinement", False)[0]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"tracker.learning_rate": 7.0}, "tracker.learning_rate"),
        ({"weights": "/nowhere/w.safetensors"}, "expected a weights file at /nowhere"),
        ({"tracker.precision": "int8"}, "precision: expected int8_file with int8"),
        (
            {"tracker.precision": "int8", "tracker.int8_file": "/nowhere/net.int8"},
            "expected a file of eight-bit convolutions at /nowhere",
        ),
    ],
)
def test_a_bad_start_parameter_ends_the_node_with_its_name(
    bench: Bench, parameters: dict[str, object], expected: str
) -> None:
    node = bench.start(parameters=parameters)
    assert node.process.wait(WAIT_S) != 0
    assert expected in node.log
