"""`dcfst bench ros` on the command line: its options; what it measures is in `bench`.

Found by `dcfst` through the entry point group `dcfst.commands`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from dcfst_core.cli.bench import frame_size
from dcfst_core.cli.options import OptionError, assignments


def add_command(subjects: Any) -> None:
    """Add `ros` below `dcfst bench`."""
    parser = subjects.add_parser(
        "ros",
        help="images received and the node's overhead, between processes on this machine",
        description="Measure what ROS costs: a camera process publishes, the tracker node "
        "receives and tracks. How many images arrive, and what the node adds to the bare tracker.",
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        default=["640x480", "1280x720"],
        metavar="WxH",
        help="image sizes (640x480 1280x720)",
    )
    parser.add_argument(
        "--reliability",
        nargs="+",
        choices=("reliable", "best_effort"),
        default=["reliable", "best_effort"],
        help="what the camera offers (both, one after the other)",
    )
    parser.add_argument("--rate", type=float, default=30.0, help="images per second (30)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each run (20)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (auto)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PARAMETER=VALUE",
        help="a parameter of the tracker node, e.g. --set tracker_preset=fast; may be repeated",
    )
    parser.add_argument(
        "--no-profile",
        action="store_true",
        help="with Fast DDS as it comes, without config/fastdds_images.xml",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurement as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, where this Python has ROS; OptionError where it has not."""
    options.parameters = assignments(options.set)
    for size in options.sizes:
        frame_size(size)
    try:
        from dcfst_ros import bench
    except ImportError as error:
        raise OptionError(
            f"bench ros needs ROS 2 for {sys.executable} ({error}): source the ROS install, or "
            "use the environment that scripts/setup_env.py makes"
        ) from error
    return bench.run(options)
