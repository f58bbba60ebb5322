"""The node's parameters: one definition for declaring, checking, documenting and changing them.

The node's own are the fields of `NodeSettings`; the tracker's are the fields of
`dcfst_core.TrackerConfig` under the prefix `tracker.`. The README's table is made from these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.options import checked_option, option
from dcfst_ros.image_conversion import CHOICES
from dcfst_ros.launching import ARGUMENTS

TRACKER_PREFIX = "tracker."
PRESETS = ("default", "paper", "released", "fast", "nano")


@dataclass(frozen=True)
class NodeSettings:
    """Settings of the tracker node itself; units are in the names."""

    weights: str = option(
        "", "weights file (.safetensors); empty = the one in the package", live=False
    )
    device: str = option(
        "auto", "auto = CUDA if there is one, else cpu; or cpu, cuda, cuda:1, ...", live=False
    )
    cpu_threads: int = option(
        0, "threads PyTorch may use on the CPU; 0 = PyTorch's own choice", 0, 256, live=False
    )
    autostart: bool = option(
        True,
        "configure and activate at start; false leaves that to a lifecycle manager",
        live=False,
    )
    tracker_preset: str = option(
        "default", "the tracker.* parameters' defaults", choices=PRESETS, live=False
    )
    image_transport: str = option(
        "raw",
        "raw = sensor_msgs/Image on `image`; compressed = CompressedImage on `image/compressed`",
        choices=("raw", "compressed"),
        live=False,
    )
    image_reliability: str = option(
        "auto",
        "auto = reliable if every publisher of the topic offers it, else best_effort",
        choices=("auto", "reliable", "best_effort"),
        live=False,
    )
    image_queue_depth: int = option(
        5,
        "images the middleware may hold while Python is busy; the newest still wins",
        1,
        100,
        live=False,
    )
    image_conversion: str = option(
        "auto",
        "what turns messages into pixels; auto = cv_bridge where it works, else the own code",
        choices=CHOICES,
        live=False,
    )
    buffer_frames: int = option(
        60, "received images kept for init boxes that are stamped in the past", 1, 1000, live=False
    )
    buffer_mb: int = option(
        256,
        "most memory of these images, MB; large ones are kept for a shorter time",
        1,
        65536,
        live=False,
    )
    init_stamp_tolerance_s: float = option(
        0.005, "how far an init box's stamp may be from a buffered image's", 0.0, 1.0
    )
    init_patience_s: float = option(
        0.5, "how long an init box waits for its image, which may arrive after it", 0.0, 10.0
    )
    catch_up_frames: int = option(
        10, "most frames tracked, evenly spaced, from a past init box up to now", 0, 1000
    )
    max_targets: int = option(20, "init boxes beyond this many targets are refused", 1, 1000)
    publish_uncertain: bool = option(
        False, "publish the last box also while a target is uncertain (not seen in this frame)"
    )
    prediction_horizon_s: float = option(
        0.5, "farthest a box is moved into the future for ~/track_predicted", 0.0, 10.0, live=False
    )
    no_image_timeout_s: float = option(
        5.0, "warn when no image came for this long; 0 = never", 0.0, 3600.0
    )
    no_image_lost_s: float = option(
        1.0,
        "without a usable image for this long, targets are reported as lost; 0 = never",
        0.0,
        3600.0,
    )
    debug_image_max_rate_hz: float = option(
        15.0, "most debug images per second; drawn only when subscribed", 0.1, 1000.0
    )
    diagnostics_period_s: float = option(
        1.0, "time between messages on /diagnostics", 0.1, 60.0, live=False
    )
    latency_warn_ms: float = option(
        300.0, "median stamp-to-publish latency above this is a warning; 0 = never", 0.0, 1e6
    )
    latency_error_ms: float = option(
        2000.0, "median stamp-to-publish latency above this is an error; 0 = never", 0.0, 1e6
    )
    output_rate_warn_hz: float = option(
        0.0, "fewer processed frames per second than this is a warning; 0 = never", 0.0, 1000.0
    )

    def __post_init__(self) -> None:
        for spec in fields(self):
            object.__setattr__(self, spec.name, checked_option(spec, getattr(self, spec.name)))


@dataclass(frozen=True)
class Parameter:
    """One ROS parameter: its name, default, help, permitted values, and whether it is live."""

    name: str
    default: Any
    help: str
    low: float | None
    high: float | None
    choices: tuple[str, ...] | None
    live: bool

    def permitted(self) -> str:
        """The permitted values in words; empty when everything of the type is permitted."""
        if self.choices:
            return ", ".join(self.choices)
        if self.low is None:
            return ""
        return f"{self.low:g} to {self.high:g}"


def preset(name: str) -> TrackerConfig:
    """The TrackerConfig of one preset's name."""
    if name not in PRESETS:
        raise ValueError(f"tracker_preset: expected one of {', '.join(PRESETS)}; got {name!r}")
    return getattr(TrackerConfig, name)()


def node_parameters() -> Iterator[Parameter]:
    """The node's own parameters."""
    yield from _parameters(NodeSettings(), "")


def tracker_parameters(defaults: TrackerConfig) -> Iterator[Parameter]:
    """The tracker's parameters with the defaults of one preset."""
    yield from _parameters(defaults, TRACKER_PREFIX)


def markdown_table(parameters: Iterator[Parameter]) -> str:
    """The README's table of parameters."""
    lines = ["| parameter | default | permitted | live | meaning |", "|---|---|---|---|---|"]
    for parameter in parameters:
        default = f"`{parameter.default}`" if parameter.default != "" else "`''`"
        live = "yes" if parameter.live else ""
        lines.append(
            f"| `{parameter.name}` | {default} | {parameter.permitted()} | {live} "
            f"| {parameter.help.replace('|', '/')} |"
        )
    return "\n".join(lines)


def _parameters(values: Any, prefix: str) -> Iterator[Parameter]:
    for spec in fields(values):
        limits = spec.metadata
        yield Parameter(
            name=prefix + spec.name,
            default=getattr(values, spec.name),
            help=limits["help"],
            low=limits["low"],
            high=limits["high"],
            choices=limits["choices"],
            live=limits["live"],
        )


DOCUMENT = """# Parameters of `tracker_node`

Made from the code: `python -m dcfst_ros.parameters > docs/ros_parameters.md`. "live" ones may
change while the node runs; the others need `deactivate` and `cleanup` first, or a restart. What
`ros2 param dump` writes, `ros2 param load` takes back, in every state of the node.

## The node

{node}

## The tracker

Defaults are those of `tracker_preset: default`; the other presets have others. A preset that is
chosen before the node is configured changes those of them that nobody has set.

{tracker}

## The launch file

`ros2 launch dcfst_ros tracker.launch.py NAME:=VALUE`; one that is not given, or empty, leaves the
parameters file its say.

{launch}
"""


def document() -> str:
    """The whole of docs/ros_parameters.md."""
    return DOCUMENT.format(
        node=markdown_table(node_parameters()),
        tracker=markdown_table(tracker_parameters(TrackerConfig.default())),
        launch="\n".join(
            [
                "| argument | default | meaning |",
                "|---|---|---|",
                *(f"| `{n}` | {f'`{d}`' if d else ''} | {text} |" for n, d, text in ARGUMENTS),
            ]
        ),
    )


if __name__ == "__main__":
    print(document(), end="")
