"""Room for images by default; where they get lost, the diagnostics say so and what helps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dcfst_ros.fast_dds import (
    PROFILE_CHOICE,
    VARIABLES,
    ProfileError,
    check_profile,
    find_profile,
    use_image_profile,
)

if TYPE_CHECKING:
    from ros_bench import Bench

# Slower than the camera of VGA, so that a busy machine keeps up.
FEW = {"rate_hz": 10, "frame_count": 50, "wait_subscribers": 1}
VGA = {"width": 640, "height": 480, "rate_hz": 30, "best_effort": True, "period_frames": 20}


def test_the_profile_is_given_unless_the_user_has_one_or_there_is_no_room(tmp_path: Path) -> None:
    env: dict[str, str] = {}
    assert str(find_profile()) in use_image_profile(env)
    assert {env[name] for name in VARIABLES} == {str(find_profile())}
    own = tmp_path / "own.xml"
    own.write_text("<dds><profiles/></dds>")
    env = {VARIABLES[1]: str(own)}
    assert str(own) in use_image_profile(env) and VARIABLES[0] not in env
    for env in ({PROFILE_CHOICE: "none"}, {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}):
        before = dict(env)
        use_image_profile(env)
        assert env == before
    env = {}
    assert "has only" in use_image_profile(env, shared_memory=tmp_path / "nowhere") and not env


@pytest.mark.parametrize("content", ["<profiles", "", "<html/>", None])
def test_a_profile_that_cannot_be_read_is_an_error(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "profile.xml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ProfileError, match="expected a Fast DDS profile at"):
        check_profile(path)


@pytest.mark.fault("an unreadable Fast DDS profile")
@pytest.mark.ros
@pytest.mark.parametrize("module", ["tracker_node", "synthetic_camera_node"])
def test_a_node_with_an_unreadable_profile_says_so_and_ends(module: str, tmp_path: Path) -> None:
    pytest.importorskip("vision_msgs")
    env = {**os.environ, VARIABLES[0]: str(tmp_path / "gone.xml")}
    command = [sys.executable, "-m", f"dcfst_ros.{module}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "expected a Fast DDS profile at" in done.stderr and "gone.xml" in done.stderr


@pytest.mark.ros
class TestOverDDS:
    """A best-effort VGA camera, as many drivers are, between processes."""

    @pytest.fixture(autouse=True)
    def needs_ros(self) -> None:
        pytest.importorskip("rclpy")
        pytest.importorskip("vision_msgs")

    def test_best_effort_images_and_the_first_box_arrive_by_default(self, bench: Bench) -> None:
        bench.start(parameters={"diagnostics_period_s": 0.3})
        bench.listen()
        bench.wait_until_heard()
        camera = bench.start("synthetic_camera_node", {**VGA, **FEW})
        bench.result_of(text="started")
        bench.until(lambda: camera.process.poll() is not None, "the camera's end")
        bench.diagnostics.clear()
        values = bench.status_line()[2]
        assert int(values["images received"]) >= 40, values

    @pytest.mark.fault("images lost by the middleware")
    def test_lost_images_are_counted_with_the_remedy(self, bench: Bench) -> None:
        bench.env[PROFILE_CHOICE] = "none"
        node = bench.start(parameters={"diagnostics_period_s": 0.3})
        bench.listen()
        bench.wait_until_heard()
        bench.start("synthetic_camera_node", {**VGA, "width": 1280, "height": 960})

        def lost() -> bool:
            level, line, values = bench.status_line()
            told = level >= 1 and "the middleware lost" in line and "fastdds_images.xml" in line
            return told and int(values["images lost by the middleware"]) > 0

        bench.until(lost, "lost images in the diagnostics")
        assert "the middleware lost" in node.log

    @pytest.mark.parametrize(
        ("parameters", "code", "text"),
        [
            ({"rate_hz": 10, "frame_count": 3, "frame_id": 7}, 0, "published 3 images"),
            ({"rate_hz": 0.0}, 2, "rate_hz: expected 0.01 or more"),
            ({"width": "wide"}, 2, "width: expected a whole number"),
        ],
    )
    def test_numbers_are_taken_as_they_are_meant_and_errors_have_no_traceback(
        self, bench: Bench, parameters: dict[str, object], code: int, text: str
    ) -> None:
        node = bench.start("synthetic_camera_node", parameters)
        assert node.process.wait(100) == code
        assert text in node.log and "Traceback" not in node.log
