"""Start the tracker: ros2 launch dcfst_ros tracker.launch.py image_topic:=/camera/image_raw

`ros2 launch dcfst_ros tracker.launch.py --show-args` lists and explains all arguments. What they
mean is in dcfst_ros/launching.py; here it is said in launch's words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from dcfst_ros.launching import (
    ARGUMENTS,
    RESPAWN_DELAY_S,
    LaunchPlan,
    death_of_tracker,
    make_plan,
)


def generate_launch_description() -> LaunchDescription:
    """The arguments, and what is started once their values are known."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, default, text in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[Any]:
    """The nodes; an error here ends the launch before any of them runs."""
    value = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    share = Path(get_package_share_directory("dcfst_ros"))
    plan = make_plan(value, share, get_package_prefix)
    tracker = Node(
        package="dcfst_ros",
        executable="tracker_node",
        name=plan.name,
        namespace=plan.namespace,
        output="screen",
        emulate_tty=True,
        respawn=plan.respawn,
        respawn_delay=RESPAWN_DELAY_S,
        parameters=[str(plan.params_file), *parameters(plan.parameters)],
        remappings=[("image", value["image_topic"]), ("camera_info", value["camera_info_topic"])],
        arguments=["--ros-args", "--log-level", value["log_level"]],
    )

    def on_exit(event: Any, context: LaunchContext) -> list[Any]:
        error = death_of_tracker(event.returncode, context.is_shutdown, plan.respawn)
        if error:
            raise RuntimeError(error)  # the only way in which `ros2 launch` fails as well
        return [] if error is None else [Shutdown(reason="the tracker has ended")]

    environment = [SetEnvironmentVariable(name, text) for name, text in plan.environment.items()]
    watch = RegisterEventHandler(OnProcessExit(target_action=tracker, on_exit=on_exit))
    return [
        *environment,
        LogInfo(msg=plan.note),
        watch,
        tracker,
        *([click_init(plan, value)] if plan.click_init else []),
        *([rviz(plan, value, share)] if plan.rviz else []),
    ]


def click_init(plan: LaunchPlan, value: dict[str, str]) -> Node:
    """Boxes by two clicks."""
    return Node(
        package="dcfst_ros",
        executable="click_init_node",
        name="click_init",
        namespace=plan.namespace,
        output="screen",
        parameters=parameters(plan.clock),
        remappings=[
            ("camera_info", value["camera_info_topic"]),
            # What rqt_image_view calls the clicks of an image.
            ("image_mouse_left", value["image_topic"] + "_mouse_left"),
            ("clicked_point", "/clicked_point"),
            ("tracker/init_box", f"{plan.name}/init_box"),
        ],
    )


def rviz(plan: LaunchPlan, value: dict[str, str], share: Path) -> Node:
    """rviz2, with the names of its configuration file moved to those of this launch."""
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        arguments=["-d", str(share / "config" / "tracker.rviz")],
        parameters=parameters(plan.clock),
        remappings=[
            ("/camera/image_raw", value["image_topic"]),
            ("/camera/camera_info", value["camera_info_topic"]),
            ("/tracker/debug_image", plan.topic(f"{plan.name}/debug_image")),
            ("/click_init/click_plane", plan.topic("click_init/click_plane")),
        ],
    )


def parameters(values: dict[str, Any]) -> list[dict[str, ParameterValue]]:
    """Values of just the type they have: launch would read a text like 1 as a number."""
    if not values:
        return []
    return [{name: ParameterValue(v, value_type=type(v)) for name, v in values.items()}]
