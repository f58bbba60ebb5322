"""The soak in small: what a node holds does not grow, and a stopped soak goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

import soak  # noqa: E402


@pytest.mark.fault("long work with absences, new boxes, resets and pauses")
@pytest.mark.parametrize(
    "frames",
    [3 * soak.ROUND, pytest.param(2000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])],
)
def test_nothing_grows_over_many_frames(frames: int, tmp_path: Path) -> None:
    rows = soak.run(frames, tmp_path)
    assert rows[-1]["frame"] == frames
    assert soak.failures(rows) == []
    soak.plot(rows, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").stat().st_size > 1000


def test_growth_is_told_and_rows_cut_off_are_passed_over(tmp_path: Path) -> None:
    flat = {"threads": 9, "files": 30, "shm_mb": 64.0, "gpu_mb": 0.0, "tracked": 90}
    rows = [
        {"frame": soak.EVERY * (i + 1), "session": 0, "rss_mb": 300.0 + 2 * i, **flat}
        for i in range(100)
    ]
    assert soak.failures(rows)[0].startswith("rss_mb grew by 176")  # not while it warms up
    record = tmp_path / "soak.jsonl"
    record.write_text('{"frame": 50, "session": 0}\n{"frame": 100, "ses')
    assert soak.read_rows(record) == [{"frame": 50, "session": 0}]
