"""More than the tracker can take: what it says is of now, and memory stays."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from process_stats import held_by  # noqa: E402
from ros_bench import BOX, Bench, scene  # noqa: E402

from dcfst_core.media.image_messages import stamp_to_ns  # noqa: E402

# About five updates a second on one core: large regions and a dense grid.
SLOW = {"tracker.patch_size": 352, "tracker.grid_size": 41, "tracker.update_interval": 1000}


@pytest.mark.slow  # measures times, which other work on the machine makes worthless
@pytest.mark.fault("a camera at 60 Hz and a tracker that makes few frames a second")
def test_a_slow_tracker_answers_about_the_newest_frame(bench: Bench) -> None:
    node = bench.start(parameters={**SLOW, "diagnostics_period_s": 0.5})
    bench.listen()
    camera = {"width": 160, "height": 120, "rate_hz": 60.0, "period_frames": 60}
    bench.start("synthetic_camera_node", camera)
    bench.until(lambda: len(bench.tracks) >= 12, "tracks")
    before = held_by(node.process.pid)
    bench.tracks.clear()
    ages_s = []
    until_s = time.monotonic() + 8.0
    while time.monotonic() < until_s or len(ages_s) < 5:
        seen = len(bench.tracks)
        bench.executor.spin_once(timeout_sec=0.05)
        for track in bench.tracks[seen:]:
            ages_s.append(time.time() - stamp_to_ns(track.header.stamp) / 1e9)
    after = held_by(node.process.pid)
    bench.diagnostics.clear()
    values = bench.status_line()[2]
    assert int(values["images skipped (newer one came)"]) > 2 * len(ages_s)
    # A frame waits for the one in work, and is worked on: two frames' time, and what DDS takes.
    work_s = float(values["tracker p95 (ms)"]) / 1e3
    assert sorted(ages_s)[len(ages_s) // 2] < 2 * work_s + 0.1, (ages_s, work_s)
    assert float(values["receive-to-publish p95 (ms)"]) < 2e3 * work_s + 100
    assert after.rss_mb < before.rss_mb + 64
    assert (after.threads, after.files) <= (before.threads, before.files)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.fault("8 trackers in 8 namespaces on one machine")
def test_eight_trackers_follow_eight_cameras(bench: Bench) -> None:
    names = [f"robot{index}" for index in range(8)]
    for name in names:
        bench.start(extra=("-r", f"__ns:=/{name}"))
        bench.listen(f"/{name}/tracker")
        bench.wait_for_image_subscriber(f"/{name}/image")
    for name in names:
        header = bench.publish_frame(scene(0), f"/{name}/image")
        bench.publish_box(BOX, header, name, tracker=f"/{name}/tracker")
        answer = bench.answer_to(stamp_to_ns(header.stamp), seen=True)
        assert [d.id for d in answer.detections] == [name]
    held = [held_by(process.process.pid).rss_mb for process in bench.processes]
    for index in range(1, 20):
        for name in names:
            (answer,) = bench.follow([scene(index)], f"/{name}/image")
            assert [d.id for d in answer.detections] == [name]
    now = [held_by(process.process.pid).rss_mb for process in bench.processes]
    assert all(later < earlier + 32 for earlier, later in zip(held, now, strict=True))
    assert [process.stop() for process in bench.processes] == [0] * 8
