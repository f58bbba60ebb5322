"""Start the tracker: ros2 launch dcfst_ros tracker.launch.py image_topic:=/camera/image_raw

`ros2 launch dcfst_ros tracker.launch.py --show-args` lists and explains all arguments.
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

SHARE = Path(get_package_share_directory("dcfst_ros"))

ARGUMENTS = (
    ("image_topic", "/camera/image_raw", "images to track in (sensor_msgs/Image)"),
    ("camera_info_topic", "/camera/camera_info", "calibration, for clicks in rviz only"),
    ("image_transport", "raw", "raw, or compressed: then image_topic/compressed is used"),
    ("namespace", "", "namespace of all nodes; one for each tracker where there are several"),
    ("params_file", str(SHARE / "config" / "tracker.yaml"), "parameters of the tracker"),
    ("weights", "", "weights file; empty = the one in the package"),
    ("device", "auto", "auto, cpu, cuda, cuda:1, ..."),
    ("autostart", "true", "configure and activate at once; false for a lifecycle manager"),
    ("use_sim_time", "false", "take the time from /clock (simulation, bags)"),
    ("click_init", "false", "also start click_init_node: boxes by two clicks in rqt or rviz"),
    ("rviz", "false", "also start rviz2 with config/tracker.rviz"),
    ("log_level", "info", "debug, info, warn or error"),
    (
        "fastdds_profile",
        "",
        "Fast DDS profile with room for images; see config/fastdds_images.xml",
    ),
)


def generate_launch_description() -> LaunchDescription:
    """The tracker node with its arguments."""
    value = {name: LaunchConfiguration(name) for name, _, _ in ARGUMENTS}
    profile = value["fastdds_profile"]
    tracker = Node(
        package="dcfst_ros",
        executable="tracker_node",
        name="tracker",
        namespace=value["namespace"],
        output="screen",
        emulate_tty=True,
        parameters=[
            value["params_file"],
            {
                "weights": ParameterValue(value["weights"], value_type=str),
                "device": ParameterValue(value["device"], value_type=str),
                "image_transport": ParameterValue(value["image_transport"], value_type=str),
                "autostart": ParameterValue(value["autostart"], value_type=bool),
                "use_sim_time": ParameterValue(value["use_sim_time"], value_type=bool),
            },
        ],
        remappings=[("image", value["image_topic"]), ("camera_info", value["camera_info_topic"])],
        arguments=["--ros-args", "--log-level", value["log_level"]],
    )
    click_init = Node(
        package="dcfst_ros",
        executable="click_init_node",
        name="click_init",
        namespace=value["namespace"],
        output="screen",
        condition=IfCondition(value["click_init"]),
        parameters=[{"use_sim_time": ParameterValue(value["use_sim_time"], value_type=bool)}],
        remappings=[
            ("camera_info", value["camera_info_topic"]),
            # What rqt_image_view calls the clicks of an image.
            ("image_mouse_left", [value["image_topic"], "_mouse_left"]),
            ("clicked_point", "/clicked_point"),
        ],
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        arguments=["-d", str(SHARE / "config" / "tracker.rviz")],
        # The names in the configuration file, whatever the camera's are.
        remappings=[
            ("/camera/image_raw", value["image_topic"]),
            ("/camera/camera_info", value["camera_info_topic"]),
        ],
        condition=IfCondition(value["rviz"]),
    )
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, default, text in ARGUMENTS
            ),
            SetEnvironmentVariable(
                "FASTRTPS_DEFAULT_PROFILES_FILE",
                profile,
                condition=IfCondition(PythonExpression(["'", profile, "' != ''"])),
            ),
            tracker,
            click_init,
            rviz,
        ]
    )
