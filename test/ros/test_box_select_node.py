"""The box selection window: a real one on a virtual screen, with a real mouse and keys."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import cv2
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from ros_bench import WAIT_S, Bench, scene  # noqa: E402
from vision_msgs.msg import Detection2D  # noqa: E402

from dcfst_core.media.image_messages import stamp_to_ns  # noqa: E402
from dcfst_ros.conversions import detection_to_box  # noqa: E402

LEFT = "1"


@pytest.fixture
def screen() -> Iterator[str]:
    """An X server without a monitor."""
    if not shutil.which("Xvfb") or not shutil.which("xdotool"):
        pytest.skip("needs Xvfb and xdotool (apt install xvfb xdotool)")
    if not cv2.currentUIFramework():
        pytest.skip("this OpenCV has no windows (opencv-python-headless)")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    server = subprocess.Popen(
        command, pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


class Hand:
    """Mouse and keyboard on a screen."""

    def __init__(self, screen: str) -> None:
        self.env = dict(os.environ, DISPLAY=screen)
        self.window = ""

    def do(self, *command: str) -> str:
        done = subprocess.run(["xdotool", *command], env=self.env, capture_output=True, text=True)
        return done.stdout

    def find(self, title: str) -> bool:
        self.window = (self.do("search", "--name", title).split() or [""])[-1]
        return bool(self.window)

    def size(self) -> tuple[int, int]:
        lines = self.do("getwindowgeometry", "--shell", self.window).splitlines()
        facts = dict(line.split("=") for line in lines if "=" in line)
        return int(facts.get("WIDTH", 0)), int(facts.get("HEIGHT", 0))

    def move(self, x: int, y: int) -> None:
        self.do("mousemove", "--window", self.window, str(x), str(y))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.do("key", "--window", self.window, key)


def test_a_dragged_box_is_sent_with_its_images_stamp(bench: Bench, screen: str) -> None:
    bench.env["DISPLAY"] = screen
    node = bench.start("box_select_node", {"init_id": "cup"})
    boxes: list[Detection2D] = []
    bench.node.create_subscription(Detection2D, "tracker/init_box", boxes.append, 10)
    bench.wait_for_image_subscriber()
    header = bench.publish_frame(scene())
    hand = Hand(screen)
    bench.until(lambda: hand.find("dcfst") and hand.size() == (160, 120), "the image's window")

    hand.move(50, 30)
    hand.do("mousedown", LEFT)
    bench.spin(0.5)
    for _ in range(3):
        bench.publish_frame(scene(9))  # later images do not change what is drawn on
    hand.move(70, 60)
    bench.spin(0.3)
    hand.move(90, 80)
    bench.spin(0.3)
    hand.do("mouseup", LEFT)
    bench.spin(0.5)
    for key in ("Left", "Up", "d", "Return"):
        bench.spin(0.3)  # OpenCV keeps only the last key between two looks
        hand.press(key)
    bench.until(lambda: boxes, "the box")
    assert detection_to_box(boxes[0]) == (49.0, 29.0, 42.0, 51.0)
    assert boxes[0].header == header and boxes[0].id == "cup"
    assert "box 49, 29, 42, 51 sent to 1 tracker(s) on /tracker/init_box" in node.log

    hand.press("Escape")
    bench.until(lambda: len(boxes) == 2, "the release")
    assert (boxes[1].bbox.size_x, boxes[1].bbox.size_y) == (0.0, 0.0)
    assert stamp_to_ns(boxes[1].header.stamp) == 0
    hand.press("q")
    assert node.process.wait(WAIT_S) == 0, node.log


def test_without_a_screen_it_says_so(bench: Bench) -> None:
    bench.env.pop("DISPLAY", None)
    node = bench.start("box_select_node")
    assert node.process.wait(WAIT_S) == 1
    assert "Traceback" not in node.log
    if cv2.currentUIFramework():
        assert "DISPLAY is not set" in node.log


def test_an_opencv_without_windows_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dcfst_ros.box_select_node import WindowError, check_window

    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")  # what a headless build returns
    with pytest.raises(WindowError, match=r"uninstall -y opencv-python-headless && .* install"):
        check_window()
