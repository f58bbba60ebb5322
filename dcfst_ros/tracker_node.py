"""The tracker node's program; the node itself is in `tracker_lifecycle`.

ros2 run dcfst_ros tracker_node --ros-args -r image:=/camera/image_raw
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from dcfst_ros.interrupts import end_process, end_quietly_on_signals

if TYPE_CHECKING:
    from dcfst_ros.tracker_lifecycle import TrackerNode


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop, and end the process."""
    # Loading PyTorch and ROS takes seconds, in which Ctrl-C would print a traceback of imports.
    end_quietly_on_signals()
    # Read when PyTorch is loaded: its idle threads sleep instead of spinning, so that images
    # arrive at once also where the tracker keeps all cores busy. It is not slower for it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        importlib.import_module("torch")
    except ImportError as error:
        sys.exit(
            f"tracker_node: PyTorch cannot be imported by {sys.executable} ({error}), the Python "
            "this node was installed for. Install torch and torchvision for that Python, or "
            "build the workspace with the one of your virtual environment: see 'With ROS 2' in "
            "the README."
        )
    from dcfst_ros.runner import run_node
    from dcfst_ros.tracker_lifecycle import TrackerNode

    try:
        code = run_node(TrackerNode, _serve, args, TrackerNode.stop)
    except ValueError as error:  # of a parameter, or of a Fast DDS profile
        print(f"tracker_node: {error}", file=sys.stderr)
        code = 2
    end_process(code)


def _serve(node: TrackerNode) -> int:
    from dcfst_ros.runner import spin

    if node.settings.autostart and not node.start() and node.context.ok():
        node.get_logger().fatal("autostart failed, see the error above")
        return 1
    spin(node)
    return 0


if __name__ == "__main__":
    sys.exit(main())
