"""A target whose model is damaged: the real node says so in its log and in its diagnostics."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from rcl_interfaces.msg import Log  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_bench import FAST, Bench, scene  # noqa: E402


@pytest.mark.fault("NaN in a target's memory")
def test_a_damaged_model_is_in_the_log_and_in_the_diagnostics(bench: Bench) -> None:
    """The node runs in this process, for nobody else can reach into its memory."""
    from dcfst_ros.tracker_lifecycle import TrackerNode

    settings = {**FAST, "tracker.update_interval": 1, "tracker.learning_threshold": 0.0}
    settings |= {"weights": str(bench.weights), "device": "cpu", "diagnostics_period_s": 0.2}
    overrides = [Parameter(name, value=value) for name, value in settings.items()]
    logged: list[Log] = []
    bench.node.create_subscription(Log, "/rosout", logged.append, 100)
    node = TrackerNode(context=bench.context, parameter_overrides=overrides)
    bench.executor.add_node(node)
    try:
        assert node.start()
        bench.listen()
        bench.begin(scene(0))
        assert node.session is not None
        memory = node.session.tracker._targets["target"].model.memory
        memory.lasting.gram[0, 3, 3] = float("nan")
        bench.follow([scene(1), scene(2)])
        bench.until(
            lambda: any("given up for the first frame's" in log.msg for log in logged), "the log"
        )
        bench.until(
            lambda: bench.diagnostics and "given up" in bench.status_line()[2]["last error"],
            "the diagnostics",
        )
    finally:
        node.stop()
        bench.executor.remove_node(node)
        node.destroy_node()
