"""Nodes and their files come and go: killed ones, bad weights, recordings that are cut off."""

from __future__ import annotations

import csv
import resource
import signal
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from process_stats import limit_memory  # noqa: E402
from ros_bench import BOX, WAIT_S, Bench, scene  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402

from dcfst_core.media.image_messages import stamp_to_ns  # noqa: E402
from dcfst_core.media.video import VideoWriter, open_frames  # noqa: E402
from dcfst_ros.processes import remove_stale_shared_memory  # noqa: E402


def change_state(bench: Bench, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(bench.call(ChangeState, "/tracker/change_state", request).success)


@pytest.mark.fault("weights replaced, cut short and given back while the node lives")
def test_bad_weights_are_refused_until_they_are_good_again(bench: Bench, weights: Path) -> None:
    own = bench.folder / "own.safetensors"
    own.with_suffix(".json").write_bytes(weights.with_suffix(".json").read_bytes())
    node = bench.start(parameters={"autostart": False, "weights": str(own)})
    bench.listen()
    whole = weights.read_bytes()
    for content in (whole[: len(whole) // 2], b"not weights"):
        own.write_bytes(content)
        assert not change_state(bench, Transition.TRANSITION_CONFIGURE)
        assert f"cannot configure: expected safetensors weights in {own}" in node.log
    bench.until(
        lambda: any("cannot configure" in a.status[0].message for a in bench.diagnostics),
        "the diagnostics",
    )
    own.write_bytes(whole)
    assert change_state(bench, Transition.TRANSITION_CONFIGURE)
    own.write_bytes(b"replaced while it runs")
    assert change_state(bench, Transition.TRANSITION_ACTIVATE)
    bench.begin(scene(0))
    (answer,) = bench.follow([scene(1)])
    assert [d.id for d in answer.detections] == ["target"]
    assert node.stop() == 0 and "Traceback" not in node.log


@pytest.mark.slow
@pytest.mark.fault("a tracker that is killed, and its stale shared memory")
def test_a_new_tracker_takes_the_place_of_one_that_was_killed(bench: Bench) -> None:
    bench.listen()
    for _ in range(2):
        node = bench.start()
        bench._heard = False
        bench.begin(scene(0))
        (answer,) = bench.follow([scene(1)])
        assert [d.id for d in answer.detections] == ["target"]
        node.stop(signal.SIGKILL)
        bench.processes.remove(node)
        bench.arrays.clear()
        bench.results.clear()
    remove_stale_shared_memory(older_than_s=0.0)
    pattern = f"fastrtps_port{7400 + 250 * int(bench.env['ROS_DOMAIN_ID'])}"
    left = [path.name for path in Path("/dev/shm").glob("fastrtps_*") if pattern in path.name]
    assert len(left) <= 2, "only this process's own"


@pytest.mark.slow
@pytest.mark.fault("a tracker that dies while a player waits for it")
@pytest.mark.fault("kill -9 of the recorder")
def test_players_and_recordings_survive_the_death_of_a_tracker_and_a_recorder(
    bench: Bench,
) -> None:
    video, out = bench.folder / "v.avi", bench.folder / "out"
    with VideoWriter(video, 25.0) as writer:
        for index in range(300):
            writer.write(scene(index % 20))
    tracker = bench.start()
    recorder = bench.start("record_node", {"folder": str(out), "await_tracker": True})
    bench.until(lambda: "waiting for images" in tracker.log, "an active tracker")
    box = ",".join(map(str, BOX))
    settings = {"source": str(video), "init_box": box, "pace": "tracks", "wait_subscribers": 2}
    player = bench.start("play_sequence_node", {**settings, "timeout_s": 8.0, "progress": False})

    def rows() -> list[dict[str, str]]:
        table = out / "track.csv"
        return list(csv.DictReader(table.open())) if table.exists() else []

    bench.until(lambda: len(rows()) > 60, "rows")
    recorder.process.kill()
    recorder.process.wait()
    tracker.process.kill()
    tracker.process.wait()
    assert player.process.wait(WAIT_S) == 1
    assert "within 8 s" in player.log and "Traceback" not in player.log
    kept = rows()
    assert [int(row["frame"]) for row in kept[:-1]] == list(range(len(kept) - 1))
    with open_frames(out / ".track.mp4.part") as source:
        assert len(list(source)) > len(kept) - 20
    bench.processes.clear()


@pytest.mark.fault("disk full while a recorder writes")
def test_a_recorder_with_a_full_disk_says_so_and_ends(bench: Bench) -> None:
    recorder = bench.start("record_node", {"folder": str(bench.folder / "out")})
    bench.wait_for_image_subscriber()
    resource.prlimit(recorder.process.pid, resource.RLIMIT_FSIZE, (2**14, 2**14))
    for index in range(400):  # without a tracker the recorder waits for its answers a while
        bench.publish_frame(scene(index % 20))
        bench.spin(0.02)
        if recorder.process.poll() is not None:
            break
    assert recorder.process.wait(WAIT_S) == 1
    bench.processes.clear()
    assert "Traceback" not in recorder.log
    assert "record_node: cannot write to" in recorder.log, recorder.log


@pytest.mark.fault("out of memory in the running node")
def test_a_box_without_memory_is_refused_and_the_node_goes_on(bench: Bench) -> None:
    """Samples of a dense grid take more than the whole process may have beside what it has."""
    node = bench.start(parameters={"tracker.patch_size": 416, "tracker.grid_size": 41})
    bench.listen()
    bench.wait_for_image_subscriber()
    bench.wait_until_heard()
    bench.follow([scene(0), scene(1)])
    limit_memory(node.process.pid, 60 * 2**20)
    header = bench.publish_frame(scene(0))
    bench.publish_box(BOX, header)
    assert "refused" in bench.result_of().message
    bench.until(lambda: "no memory left" in node.log, "a word on memory")
    assert not bench.follow([scene(1)])[0].detections
    limit_memory(node.process.pid, None)
    assert node.stop() == 0 and "Traceback" not in node.log


@pytest.mark.slow
@pytest.mark.fault("simulated time that jumps both ways")
def test_a_clock_that_jumps_stops_neither_tracking_nor_diagnostics(bench: Bench) -> None:
    bench.start(parameters={"use_sim_time": True, "diagnostics_period_s": 0.3})
    bench.listen()
    clock = bench.node.create_publisher(Clock, "/clock", 10)
    bench.begin(scene(0))
    for seconds in (1000, 900_000_000, 5, 1_000_000):
        now = Clock()
        now.clock.sec = seconds
        clock.publish(now)
        bench._next_stamp_ns = seconds * 1_000_000_000
        bench.spin(0.2)
        bench.diagnostics.clear()
        (answer,) = bench.follow([scene(1)])
        assert [d.id for d in answer.detections] == ["target"]
        assert stamp_to_ns(answer.header.stamp) == bench._next_stamp_ns
        bench.until(lambda: len(bench.diagnostics) >= 2, "diagnostics")
    assert bench.state_names()[-1] == "tracking"
