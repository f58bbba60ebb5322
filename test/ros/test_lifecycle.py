"""The tracker as a lifecycle node: every transition in every state, signals, leaks."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from node_process import NodeProcess  # noqa: E402
from ros_bench import Bench, scene  # noqa: E402

CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE
# What each state permits, and where it leads.
PERMITTED = {
    "unconfigured": {CONFIGURE: "inactive"},
    "inactive": {ACTIVATE: "active", CLEANUP: "unconfigured"},
    "active": {DEACTIVATE: "inactive"},
}
# The network's 60 MB come and go with every round, what was freed is given back: 30 kB a round.
LEAK_MB = 50.0


def change_state(bench: Bench, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bench.call(ChangeState, "/tracker/change_state", request).success


def state_of(bench: Bench) -> str:
    return bench.call(GetState, "/tracker/get_state", GetState.Request()).current_state.label


def resources(pid: int) -> tuple[float, int]:
    """Resident memory in MB and the number of threads."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(fields["VmRSS"].split()[0]) / 1024, int(fields["Threads"])


@pytest.mark.fault("50 lifecycle rounds")
@pytest.mark.parametrize("rounds", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_lifecycle_transitions_leak_nothing(bench: Bench, rounds: int) -> None:
    node = bench.start(parameters={"autostart": False})
    bench.listen()
    assert state_of(bench) == "unconfigured"
    assert not change_state(bench, ACTIVATE)  # not in this order
    bench.image_publisher()

    def one_round(with_target: bool) -> None:
        assert change_state(bench, CONFIGURE)
        assert change_state(bench, ACTIVATE)
        if with_target:
            bench.begin(scene(0))
        assert change_state(bench, DEACTIVATE)
        assert change_state(bench, ACTIVATE)  # again, without a new configuration
        assert change_state(bench, DEACTIVATE)
        assert change_state(bench, CLEANUP)

    for _ in range(3):
        one_round(with_target=True)
    memory_before, threads_before = resources(node.process.pid)
    for index in range(rounds):
        one_round(with_target=index % 10 == 0)
    memory_after, threads_after = resources(node.process.pid)
    assert threads_after <= threads_before
    assert memory_after < memory_before + LEAK_MB
    assert change_state(bench, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert node.stop() == 0
    assert "Traceback" not in node.log


@pytest.mark.fault("lifecycle requests in any order")
@pytest.mark.parametrize("requests", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_any_order_of_requests_is_obeyed_or_refused_and_leaks_nothing(
    bench: Bench, requests: int
) -> None:
    node = bench.start(parameters={"autostart": False})
    bench.listen()
    bench.image_publisher()
    choose = random.Random(5)
    state, checked = "unconfigured", (0.0, 0)
    for index in range(requests):
        if index == requests // 3 and state == "unconfigured":
            checked = resources(node.process.pid)
        wanted = choose.choice((CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE))
        permitted = PERMITTED[state]
        assert change_state(bench, wanted) == (wanted in permitted), (state, wanted)
        state = permitted.get(wanted, state)
        assert state_of(bench) == state
        if state == "active" and not bench.arrays:
            bench.begin(scene(0))
    for wanted, back in ((DEACTIVATE, "inactive"), (CLEANUP, "unconfigured")):
        if wanted in PERMITTED[state]:
            assert change_state(bench, wanted)
            state = back
    memory_mb, threads = resources(node.process.pid)
    if checked[1]:
        assert threads <= checked[1] and memory_mb < checked[0] + LEAK_MB
    assert "Traceback" not in node.log
    assert node.stop() == 0


def bring_to(bench: Bench, node: NodeProcess, state: str) -> None:
    """From unconfigured to a state."""
    path = {"unconfigured": [], "inactive": [CONFIGURE], "active": [CONFIGURE, ACTIVATE]}
    path["inactive again"] = [CONFIGURE, ACTIVATE, DEACTIVATE]
    path["finalized"] = [Transition.TRANSITION_UNCONFIGURED_SHUTDOWN]
    bench.until(lambda: "tracker" in bench.node.get_node_names(), "the node in the graph")
    for transition in path[state]:
        assert change_state(bench, transition)


@pytest.mark.parametrize(
    ("state", "with_signal"),
    [
        ("unconfigured", signal.SIGINT),
        ("inactive", signal.SIGINT),
        ("inactive", signal.SIGTERM),
        ("active", signal.SIGTERM),
        ("inactive again", signal.SIGTERM),
        ("finalized", signal.SIGINT),
    ],
)
def test_a_signal_ends_the_node_cleanly(bench: Bench, state: str, with_signal: int) -> None:
    node = bench.start(parameters={"autostart": False})
    bring_to(bench, node, state)
    assert node.stop(with_signal) == 0
    assert "Traceback" not in node.log
