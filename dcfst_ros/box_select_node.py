"""A window with the live image in which one draws the box to follow.

    ros2 run dcfst_ros box_select_node --ros-args -r image:=/camera/image_raw

Drag with the left mouse button: the image freezes at the first touch (or on Space) and the box is
sent with that image's stamp. Arrows move it by a pixel, a/d make it narrower or wider, w/s shorter
or taller, Space takes a newer image under it, Enter sends it, Esc leaves it. With no box drawn,
Esc releases the target. q, or closing the window, ends the node.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from vision_msgs.msg import Detection2D, Detection2DArray

from dcfst_core.errors import DCFSTError
from dcfst_core.media.drawing import draw_box, draw_label
from dcfst_core.media.frames import Frame
from dcfst_core.media.image_messages import to_rgb
from dcfst_ros.box_selection import BoxSelection, Phase, Release, SendBox, Shown
from dcfst_ros.compatibility import steady_timer
from dcfst_ros.conversions import detection_to_box, fill_bounding_box
from dcfst_ros.frame_buffer import FrameBuffer
from dcfst_ros.health import Health
from dcfst_ros.image_input import ImageInput
from dcfst_ros.parameters import NodeSettings
from dcfst_ros.plain_parameters import declare
from dcfst_ros.qos import state_qos
from dcfst_ros.runner import make_executor, run_node

WINDOW = "dcfst: drag a box"
# Key codes of OpenCV's windows: X11 keysyms (Qt and GTK), Windows, macOS.
KEYS = {
    **dict.fromkeys((0xFF51, 0x250000, 63234), "left"),
    **dict.fromkeys((0xFF52, 0x260000, 63232), "up"),
    **dict.fromkeys((0xFF53, 0x270000, 63235), "right"),
    **dict.fromkeys((0xFF54, 0x280000, 63233), "down"),
    **dict.fromkeys((10, 13, 0xFF8D), "enter"),
    27: "escape",
    32: "space",
    **{ord(letter): letter for letter in "awsdq"},
}
HELP = {
    Phase.LIVE: "drag a box | Space freezes | Esc releases the target | q ends",
    Phase.FROZEN: "frozen: drag a box | Esc goes on",
    Phase.DRAWN: "Enter sends | arrows move | a d w s resize | Space newer image | Esc leaves",
}
SELECTION_COLOUR, TRACK_COLOUR = (255, 220, 0), (0, 220, 120)
PARAMETERS: tuple[tuple[Any, ...], ...] = (
    ("init_id", "", "id of the target to start"),
    ("image_transport", "raw", "raw or compressed"),
)
POLL_PERIOD_S = 0.2
CALLBACKS_PER_PICTURE = 10
BUFFER_PARAMETER = "buffer_frames"
# Images that arrive while the box is on its way.
BUFFER_MARGIN = 5


class WindowError(RuntimeError):
    """No window can be opened here, with what to do."""


def check_window() -> None:
    """WindowError where OpenCV has no windows or there is no screen, which would abort Python."""
    framework = cv2.currentUIFramework() if hasattr(cv2, "currentUIFramework") else "?"
    if not framework or not hasattr(cv2, "namedWindow"):
        raise WindowError(
            f"this OpenCV ({cv2.__version__}) is built without windows (opencv-python-headless). "
            f"Install the one with windows: {sys.executable} -m pip uninstall -y "
            f"opencv-python-headless && {sys.executable} -m pip install opencv-python"
        )
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        raise WindowError(
            "there is no screen here (DISPLAY is not set): run this node on a desktop of the same "
            "ROS network, or over `ssh -X`; without a screen use click_init_node or publish on "
            "tracker/init_box"
        )


class BoxSelectNode(Node):
    """Shows `image` with the tracks; publishes `tracker/init_box`."""

    def __init__(self) -> None:
        super().__init__("box_select")
        values = {name: declare(self, name, *rest) for name, *rest in PARAMETERS}
        self.target_id: str = values["init_id"]
        settings = NodeSettings(image_transport=values["image_transport"])
        self.selection = BoxSelection()
        self.tracks: list[Detection2D] = []
        self.states: dict[str, str] = {}
        self._refusal = ""
        self._buffer = FrameBuffer(capacity=1)
        self._input = ImageInput(self, self._buffer, Health(), settings)
        self.inits = self.create_publisher(Detection2D, "tracker/init_box", 10)
        self.create_subscription(Detection2DArray, "tracker/tracks", self._on_tracks, 10)
        self.create_subscription(DiagnosticStatus, "tracker/state", self._on_state, state_qos())
        self._sent = False
        self.create_subscription(
            DiagnosticStatus, "tracker/init_result", self._on_init_result, state_qos()
        )
        self._parameters = self.create_client(GetParameters, "tracker/get_parameters")
        self._asked: Any = None
        steady_timer(self, 1.0, self._ask_buffer_size)
        steady_timer(self, POLL_PERIOD_S, self._input.poll)

    def key(self, code: int) -> bool:
        """Handle a key of cv2.waitKeyEx; False when the node is to end."""
        name = KEYS.get(code, "")
        if name == "q":
            return False
        action = self.selection.key(name)
        if isinstance(action, SendBox):
            self._send(action.header, action.box_xywh)
        elif isinstance(action, Release):
            self._send(None, (0.0, 0.0, 0.0, 0.0))
        return True

    def mouse(self, event: int, x: int, y: int) -> None:
        """Handle an event of cv2.setMouseCallback; x and y are image pixels."""
        if event == cv2.EVENT_LBUTTONDOWN:
            self.selection.press(x, y)
        elif event == cv2.EVENT_MOUSEMOVE:
            self.selection.drag(x, y)
        elif event == cv2.EVENT_LBUTTONUP:
            self.selection.let_go(x, y)

    def picture(self) -> Frame:
        """What the window shows, RGB."""
        selection = self.selection
        if selection.shown is None:
            blank = np.full((240, 640, 3), 48, np.uint8)
            topic = self._input.topic
            count = self.count_publishers(topic)
            draw_label(blank, f"waiting for images on {topic}", (8, 110), (200, 200, 200))
            draw_label(blank, f"{count} publishers; remap: image:=...", (8, 140), (200, 200, 200))
            return blank
        canvas = selection.shown.frame_rgb.copy()
        if selection.phase is Phase.LIVE:
            for track in self.tracks:
                score = track.results[0].hypothesis.score if track.results else 0.0
                label = f"{track.id} {score:.2f}"
                draw_box(canvas, detection_to_box(track), TRACK_COLOUR, label)
        if selection.box_xywh is not None:
            w, h = selection.box_xywh[2:]
            draw_box(canvas, selection.box_xywh, SELECTION_COLOUR, f"{w:.0f} x {h:.0f}")
        draw_label(canvas, self._status(), (0, canvas.shape[0]), (40, 40, 40))
        return canvas

    def _status(self) -> str:
        selection = self.selection
        if selection.phase is not Phase.LIVE and selection.too_old:
            return "the tracker no longer has this image: Space takes a new one"
        text = selection.note or self._refusal or HELP[selection.phase]
        unseen = [f"{n}: {s}" for n, s in self.states.items() if s in ("uncertain", "lost")]
        return " | ".join([text, *unseen]) if selection.phase is Phase.LIVE else text

    def _send(self, header: Any, box: tuple[float, float, float, float]) -> None:
        detection = Detection2D(id=self.target_id)
        if header is not None:
            detection.header = header
        fill_bounding_box(box, detection.bbox)
        self.inits.publish(detection)
        self._refusal, self._sent = "", True
        what = "box " + ", ".join(f"{v:.0f}" for v in box) if header else "release"
        count = self.inits.get_subscription_count()
        self.get_logger().info(f"{what} sent to {count} tracker(s) on {self.inits.topic_name}")
        if not count:
            self.selection.note = f"no tracker listens on {self.inits.topic_name}"

    def look(self) -> None:
        """Take the newest image, if one came."""
        frame = self._buffer.take_newest()
        if frame is None:
            return
        try:
            rgb = to_rgb(frame.message)
        except DCFSTError as error:
            self.get_logger().warning(f"image ignored: {error}", throttle_duration_sec=5.0)
            return
        self.selection.add_image(Shown(rgb, frame.message.header, frame.sequence))

    def _on_tracks(self, message: Detection2DArray) -> None:
        self.tracks = list(message.detections)

    def _on_state(self, message: DiagnosticStatus) -> None:
        self.states[message.name] = message.message
        if message.message != "tracking":
            self.tracks = [track for track in self.tracks if track.id != message.name]

    def _on_init_result(self, message: DiagnosticStatus) -> None:
        """The tracker's answer; whoever draws the box looks at this window."""
        if self._sent and self.target_id in ("", message.name):
            refused = message.level != DiagnosticStatus.OK
            self._refusal = message.message if refused else ""
            if refused:
                self.selection.note = ""

    def _ask_buffer_size(self) -> None:
        """How many images the tracker keeps, asked until it answers."""
        if self._asked is not None and self._asked.done():
            answer = self._asked.result()
            if answer is not None and answer.values and answer.values[0].integer_value > 0:
                kept = answer.values[0].integer_value
                self.selection.keeps_frames = max(kept - BUFFER_MARGIN, 1)
        elif self._asked is None and self._parameters.service_is_ready():
            request = GetParameters.Request(names=[BUFFER_PARAMETER])
            self._asked = self._parameters.call_async(request)


def show(node: BoxSelectNode) -> None:
    """Run the window until q, until it is closed, or until ROS ends."""
    flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
    cv2.namedWindow(WINDOW, flags)
    cv2.setMouseCallback(WINDOW, lambda event, x, y, *_: node.mouse(event, x, y))
    size: tuple[int, ...] = ()
    executor = make_executor(node)
    while rclpy.ok():
        executor.spin_once(timeout_sec=0.01)
        for _ in range(CALLBACKS_PER_PICTURE):
            executor.spin_once(timeout_sec=0)
        node.look()
        picture = node.picture()
        if picture.shape != size:
            size = picture.shape
            cv2.resizeWindow(WINDOW, size[1], size[0])
        cv2.imshow(WINDOW, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if not node.key(cv2.waitKeyEx(10)):
            return
        if cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) < 1:
            return


def main(args: list[str] | None = None) -> int:
    """Show the window until it is closed; returns the exit code."""
    try:
        return run_node(_open, show, args)
    except (WindowError, ValueError, cv2.error) as error:
        print(f"box_select_node: {error}", file=sys.stderr)
        return 1


def _open() -> BoxSelectNode:
    check_window()
    return BoxSelectNode()


if __name__ == "__main__":
    sys.exit(main())
