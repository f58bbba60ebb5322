"""A lifecycle node whose parameters are checked as one, and that refuses instead of failing."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter

from dcfst_ros.parameter_server import (
    declare_parameters,
    judge_change,
    preset_changes,
    read_settings,
)


class ParameterNode(LifecycleNode):
    """Keeps `settings` and `tracker_config` equal to the node's parameters.

    Whoever derives from it says with `is_configured` when only live parameters may change, and
    takes over what changed in `on_settings`.
    """

    def __init__(self, name: str, **node_arguments: Any) -> None:
        super().__init__(name, **node_arguments)
        self.declared = declare_parameters(self)
        self.settings, self.tracker_config = read_settings(self, self.declared)
        self._explicit = set(self._parameter_overrides) & set(self.declared)
        self.add_on_set_parameters_callback(self._judge)

    @property
    def is_configured(self) -> bool:
        """Whether something is built from the parameters that are not live."""
        return False

    def on_settings(self) -> None:
        """The settings have changed."""

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Set parameters; one that has the value already is no change, read-only or not.

        So what `param dump` wrote can be loaded in every state. The parameter services of all
        distributions come this way.
        """
        changed = [given for given in parameter_list if not self._has(given)]
        ours = {given.name for given in parameter_list if given.name in self.declared}
        if not changed:
            self._explicit |= ours
            return SetParametersResult(successful=True)
        result = super().set_parameters_atomically(changed)
        if not result.successful or not ours:
            return result
        self._explicit |= ours
        if any(given.name == "tracker_preset" for given in changed):
            self._apply_preset()
        self.settings, self.tracker_config = read_settings(self, self.declared)
        self.on_settings()
        return result

    def _has(self, given: Parameter) -> bool:
        if not self.has_parameter(given.name):
            return False
        present = self.get_parameter(given.name)
        return present.type_ == given.type_ and present.value == given.value

    def _judge(self, changes: list[Parameter]) -> SetParametersResult:
        current = {name: self.get_parameter(name).value for name in self.declared}
        return judge_change(self.declared, current, changes, configured=self.is_configured)

    def _apply_preset(self) -> None:
        name = self.get_parameter("tracker_preset").value
        wanted = preset_changes(self.declared, self._explicit, name)
        super().set_parameters_atomically(
            [Parameter(parameter, value=value) for parameter, value in wanted.items()]
        )

    def _LifecycleNodeMixin__change_state(self, transition_id: int) -> TransitionCallbackReturn:
        """Refuse a transition that the present state does not have.

        rclpy raises in that case, inside the service, which would end the node and leave the
        caller without an answer. The name is that of rclpy's private method, seen from outside.
        """
        try:
            return super()._LifecycleNodeMixin__change_state(transition_id)
        except RCLError as error:
            self.get_logger().warning(f"lifecycle transition {transition_id} refused: {error}")
            return TransitionCallbackReturn.FAILURE
