"""Stand-ins for launch and launch_ros that only remember what they are given.

Their arguments are those of the public documentation of both packages: one that is misspelt in a
launch file fails here as well. Used where the real ones are not; they come with a ROS install.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

ACTIONS = {
    "launch": {"LaunchDescription": ("entities",), "LaunchContext": ()},
    "launch.actions": {
        "DeclareLaunchArgument": ("name", "default_value", "description"),
        "LogInfo": ("msg",),
        "OpaqueFunction": ("function",),
        "RegisterEventHandler": ("event_handler",),
        "SetEnvironmentVariable": ("name", "value"),
        "Shutdown": ("reason",),
    },
    "launch.event_handlers": {"OnProcessExit": ("target_action", "on_exit")},
    "launch.substitutions": {"LaunchConfiguration": ("variable_name",)},
    "launch_ros": {},
    "launch_ros.actions": {
        "Node": (
            *("package", "executable", "name", "namespace", "output", "emulate_tty", "respawn"),
            *("respawn_delay", "parameters", "remappings", "arguments"),
        )
    },
    "launch_ros.parameter_descriptions": {"ParameterValue": ("value", "value_type")},
}


class Stub:
    """Its arguments as attributes."""

    fields: tuple[str, ...] = ()

    def __init__(self, *values: Any, **named: Any) -> None:
        given = {**dict(zip(self.fields, values, strict=False)), **named}
        unknown = set(given) - set(self.fields)
        if unknown:
            raise TypeError(f"{type(self).__name__} has no argument {sorted(unknown)}")
        self.__dict__.update(given)


class Context:
    """The values of the launch arguments, and whether the launch is ending."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self.is_shutdown = False


def stub_modules() -> dict[str, ModuleType]:
    """The modules by name, for sys.modules."""
    modules = {}
    for module, classes in ACTIONS.items():
        made = modules[module] = ModuleType(module)
        made.__path__ = []  # type: ignore[attr-defined]
        for name, fields in classes.items():
            setattr(made, name, type(name, (Stub,), {"fields": fields}))
    modules["launch.substitutions"].LaunchConfiguration.perform = (  # type: ignore[attr-defined]
        lambda self, context: context.values[self.variable_name]
    )
    return modules


def is_real(name: str) -> bool:
    """Whether a module of that name is the installed one (the folder launch/ here is none)."""
    return getattr(sys.modules.get(name), "__file__", None) is not None
