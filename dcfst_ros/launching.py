"""What tracker.launch.py does with its arguments; plain Python, so that it can be tested anywhere.

An argument counts only when it is given: an empty one leaves the parameters file its say.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcfst_ros.fast_dds import PROFILE_CHOICE, VARIABLES, use_image_profile

PACKAGE = "dcfst_ros"
RESPAWN_DELAY_S = 2.0
# name, default, description; "" = not given.
ARGUMENTS: tuple[tuple[str, str, str], ...] = (
    ("image_topic", "/camera/image_raw", "images to track in (sensor_msgs/Image)"),
    ("camera_info_topic", "/camera/camera_info", "calibration, for clicks in rviz only"),
    ("name", "tracker", "name of the node, and so of its topics"),
    ("namespace", "", "namespace of all nodes; one for each tracker where there are several"),
    ("params_file", "", "parameters of the tracker; empty = config/tracker.yaml of the package"),
    ("tracker_preset", "", "default, paper, released, fast or nano; empty = as params_file says"),
    ("weights", "", "weights file; empty = as params_file says, or the one in the package"),
    ("device", "", "auto, cpu, cuda, cuda:1, ...; empty = as params_file says"),
    ("image_transport", "", "raw or compressed (image_topic/compressed); empty = as params_file"),
    ("autostart", "", "false leaves it to a lifecycle manager; empty = as params_file says"),
    ("use_sim_time", "", "true takes the time from /clock; empty = as params_file says"),
    ("respawn", "false", "start the tracker again when it dies, instead of ending the launch"),
    ("click_init", "false", "also start click_init_node: boxes by two clicks in rqt or rviz"),
    ("rviz", "false", "also start rviz2 with config/tracker.rviz"),
    ("log_level", "info", "debug, info, warn or error"),
    (
        "fastdds_profile",
        "auto",
        "room for images in Fast DDS: auto = config/fastdds_images.xml unless the environment "
        "names one, none, or a file",
    ),
)
_TEXTS = ("tracker_preset", "weights", "device", "image_transport")
_SWITCHES = ("autostart", "use_sim_time")


class LaunchError(RuntimeError):
    """What was asked for cannot be started; nothing was."""


@dataclass(frozen=True)
class LaunchPlan:
    """What to start; `parameters`: those that were given, on top of `params_file`."""

    name: str
    namespace: str
    params_file: Path
    parameters: dict[str, Any]
    environment: dict[str, str]
    note: str
    respawn: bool
    click_init: bool
    rviz: bool

    @property
    def clock(self) -> dict[str, Any]:
        """Parameters that every node of the launch gets."""
        return {k: v for k, v in self.parameters.items() if k == "use_sim_time"}

    def topic(self, name: str) -> str:
        """The full name of a topic below the namespace."""
        return f"/{self.namespace.strip('/')}/{name}".replace("//", "/")


def make_plan(
    values: Mapping[str, str],
    share: Path,
    prefix_of: Callable[[str], str],
    environment: Mapping[str, str] = os.environ,
) -> LaunchPlan:
    """Look at all that is needed before anything is started.

    `values`: the launch arguments. `share`: this package's share folder. `prefix_of`: where a
    package is installed; raises LookupError for one that is not. Raises LaunchError.
    """
    given = {name: value for name, value in values.items() if value != ""}
    parameters: dict[str, Any] = {name: given[name] for name in _TEXTS if name in given}
    parameters |= {name: _switch(name, given[name]) for name in _SWITCHES if name in given}
    params_file = Path(given.get("params_file", share / "config" / "tracker.yaml"))
    if not params_file.is_file():
        raise LaunchError(f"expected the parameters of the tracker in {params_file}: no such file")
    wanted = {name: _switch(name, given[name]) for name in ("respawn", "click_init", "rviz")}
    executables = {PACKAGE: ["tracker_node"]}
    if wanted["click_init"]:
        executables[PACKAGE].append("click_init_node")
    if wanted["rviz"]:
        executables["rviz2"] = ["rviz2"]
    _check_installed(executables, prefix_of)
    env = dict(environment)
    try:
        note = use_image_profile(env, given.get("fastdds_profile", "auto"))
    except ValueError as error:
        raise LaunchError(str(error)) from None
    if given.get("fastdds_profile") == "none":
        env[PROFILE_CHOICE] = "none"
    names = (*VARIABLES, PROFILE_CHOICE)
    changed = {n: env[n] for n in names if env.get(n, "") != environment.get(n, "")}
    name, namespace = given["name"], given.get("namespace", "")
    return LaunchPlan(name, namespace, params_file, parameters, changed, note, **wanted)


def death_of_tracker(returncode: int, shutting_down: bool, respawn: bool) -> str | None:
    """What the end of the tracker means: None = go on, "" = end, else the error to end with."""
    if shutting_down or respawn:
        return None
    if returncode == 0:
        return ""
    return f"the tracker ended with {returncode}: its log above says why"


def _switch(name: str, text: str) -> bool:
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise LaunchError(f"{name}: expected true or false, got {text!r}")


def _check_installed(
    executables: Mapping[str, list[str]], prefix_of: Callable[[str], str]
) -> None:
    for package, names in executables.items():
        try:
            folder = Path(prefix_of(package)) / "lib" / package
        except LookupError:
            hint = "leave out rviz:=true, or install it: sudo apt install ros-$ROS_DISTRO-rviz2"
            raise LaunchError(
                f"expected the package {package}, which is not here: {hint}"
            ) from None
        for name in names:
            if not os.access(folder / name, os.X_OK):
                raise LaunchError(
                    f"expected an executable {name} in {folder}, there is none: build the "
                    f"workspace again and source its setup"
                )
