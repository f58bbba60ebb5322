"""The tracker node: parameters, subscriptions, the tracking thread, publishers. Wiring only.

ros2 run dcfst_ros tracker_node --ros-args -r image:=/camera/image_raw
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger
from vision_msgs.msg import Detection2D

# Read when PyTorch is loaded: its idle threads sleep instead of spinning, so that images arrive
# at once also where the tracker keeps all cores busy. The tracker itself is not slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
try:
    import torch
except ImportError as error:
    sys.exit(
        f"tracker_node: PyTorch cannot be imported by {sys.executable} ({error}), the Python this "
        "node was installed for. Install torch and torchvision for that Python, or build the "
        "workspace with the one of your virtual environment: see 'Install' in the README."
    )
from dcfst_core import Tracker, TrackState, choose_device
from dcfst_core.errors import BoxError, DCFSTError
from dcfst_core.media.image_messages import stamp_to_ns
from dcfst_core.network.checkpoint import load_model
from dcfst_core.tracking.tracker import DEFAULT_TARGET_ID
from dcfst_ros.conversions import class_id_of, detection_to_box
from dcfst_ros.frame_buffer import FrameBuffer
from dcfst_ros.health import Health, Limits, status_name
from dcfst_ros.image_input import ImageInput
from dcfst_ros.outputs import TrackOutputs
from dcfst_ros.parameter_server import (
    ParameterError,
    build_settings,
    declare_parameters,
    judge_change,
    read_settings,
)
from dcfst_ros.runner import run_node, spin
from dcfst_ros.session import TrackingSession
from dcfst_ros.session_events import InitRequest

POLL_PERIOD_S = 0.2
# A detector may send all its boxes at once; a lost one would be a target never followed.
INIT_DEPTH = 100
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class TrackerNode(LifecycleNode):
    """Configure loads the network, activate tracks, deactivate frees the device."""

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("tracker", **node_arguments)
        self.declared = declare_parameters(self)
        self.settings, self.tracker_config = read_settings(self, self.declared)
        self.health = Health()
        self.session: TrackingSession | None = None
        self._model: Any = None
        self._outputs: TrackOutputs | None = None
        self._input: ImageInput | None = None
        self._active_entities: list[tuple[Any, Any]] = []
        # Diagnostics and services answer in every lifecycle state, so they are made once.
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(self.settings.diagnostics_period_s, self._publish_diagnostics)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._after_set_parameters)

    # -- lifecycle -------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the weights, so that a bad file is found before the camera runs."""
        try:
            self.settings, self.tracker_config = read_settings(self, self.declared)
            choose_device(self.settings.device)
            self._model = load_model(self.settings.weights or None)
        except (DCFSTError, ValueError, RuntimeError) as error:
            self.get_logger().error(f"cannot configure: {error}")
            self.health.add_error(str(error))
            return FAILURE
        self._outputs = TrackOutputs(self, self.health, self.settings)
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Put the network on the device and start to listen."""
        assert self._outputs is not None
        settings = self.settings
        if settings.cpu_threads:
            torch.set_num_threads(settings.cpu_threads)
        device = choose_device(settings.device)
        buffer = FrameBuffer(settings.buffer_frames)
        tracker = Tracker(self._model, self.tracker_config, device)
        self.session = TrackingSession(tracker, buffer, self._outputs)
        self.session.want_idle_frames = self._outputs.wants_debug
        self._apply_settings()
        result = super().on_activate(state)
        self._outputs.publish_state(DEFAULT_TARGET_ID, TrackState.IDLE)
        self._input = ImageInput(self, buffer, self.health, settings)
        self._input.poll()
        init = self.create_subscription(Detection2D, "~/init_box", self._on_init_box, INIT_DEPTH)
        timer = self.create_timer(POLL_PERIOD_S, self._input.poll)
        self._active_entities = [(self.destroy_subscription, init), (self.destroy_timer, timer)]
        self.session.start()
        self.get_logger().info(
            f"tracking on {tracker.device}; waiting for images on {self._input.topic}, a box on "
            f"{init.topic_name}"
        )
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop tracking and free the device's memory."""
        self.stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the network and take the topics away."""
        self._forget()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End from any state."""
        self.stop()
        self._forget()
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition raised: free everything; the node is unconfigured again."""
        self.stop()
        self._forget()
        return SUCCESS

    def _LifecycleNodeMixin__change_state(self, transition_id: int) -> TransitionCallbackReturn:
        """Refuse a transition that the present state does not have.

        rclpy raises in that case, inside the service, which would end the node and leave the
        caller without an answer. The name is that of rclpy's private method, seen from outside.
        """
        try:
            return super()._LifecycleNodeMixin__change_state(transition_id)
        except RCLError as error:
            self.get_logger().warning(f"lifecycle transition {transition_id} refused: {error}")
            return FAILURE

    def stop(self) -> None:
        """End the tracking thread and free the device; safe in every state."""
        if self._input is not None:
            self._input.close()
            self._input = None
        for destroy, entity in self._active_entities:
            destroy(entity)
        self._active_entities = []
        if self.session is not None:
            self.session.stop()
            self.session = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _forget(self) -> None:
        self._model = None
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None

    # -- topics and services ---------------------------------------------------------------------

    def _on_init_box(self, message: Detection2D) -> None:
        if self.session is None or self._outputs is None:
            return
        target_id = message.id or DEFAULT_TARGET_ID
        try:
            box_xywh = detection_to_box(message)
        except BoxError as error:
            self._outputs.on_warning("init", f"init box for {target_id!r} refused: {error}")
            return
        stamp_ns = stamp_to_ns(message.header.stamp)
        self.session.request_init(InitRequest(target_id, box_xywh, stamp_ns, class_id_of(message)))

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self.session is None:
            response.success, response.message = False, "the node is not active"
            return response
        count = self.session.request_reset()
        response.success, response.message = True, f"released {count} targets"
        return response

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self.session is None:
            response.success, response.message = False, "the node is not active"
            return response
        self.session.enabled = request.data
        response.success = True
        response.message = "tracking" if request.data else "paused; targets are kept"
        return response

    # -- parameters ------------------------------------------------------------------------------

    def _on_set_parameters(self, changes: list[Any]) -> Any:
        current = {name: self.get_parameter(name).value for name in self.declared}
        return judge_change(self.declared, current, changes, configured=self._model is not None)

    def _after_set_parameters(self, changes: list[Any]) -> None:
        if any(change.name in self.declared for change in changes):
            current = {name: self.get_parameter(name).value for name in self.declared}
            self.settings, self.tracker_config = build_settings(current)
            self._apply_settings()

    def _apply_settings(self) -> None:
        """Hand the live settings to the parts that read them on every frame."""
        if self._outputs is not None:
            self._outputs.settings = self.settings
        if self._input is not None:
            self._input.timeout_s = self.settings.no_image_timeout_s
        if self.session is not None:
            self.session.catch_up_frames = self.settings.catch_up_frames
            self.session.stamp_tolerance_ns = int(self.settings.init_stamp_tolerance_s * 1e9)
            self.session.init_patience_s = self.settings.init_patience_s
            self.session.max_targets = self.settings.max_targets
            self.session.request_config(self.tracker_config)

    # -- diagnostics -----------------------------------------------------------------------------

    def _publish_diagnostics(self) -> None:
        status = DiagnosticStatus(
            name=status_name(self.get_fully_qualified_name()),
            hardware_id=self.settings.device,
        )
        session = self.session
        states = session.states if session is not None else {}
        limits = Limits(
            self.settings.latency_warn_ms,
            self.settings.latency_error_ms,
            self.settings.output_rate_warn_hz,
        )
        level, message, values = self.health.judge(limits, tracking=bool(states))
        status.message = message if session is not None else "not active"
        if session is not None:
            session.time_next_frame = True  # one frame per period pays for per-stage times
            values["images skipped (newer one came)"] = str(session.buffer.skipped)
            values["images ignored while disabled"] = str(session.paused_frames)
            values.update(device_memory(session.tracker.device))
        values.update({f"state of {name}": state.value for name, state in states.items()})
        status.level = bytes([level])
        status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
        message_out = DiagnosticArray(status=[status])
        message_out.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message_out)


def device_memory(device: torch.device) -> dict[str, str]:
    """The device's name and, on a GPU, the memory PyTorch holds there."""
    if device.type != "cuda":
        return {"device": f"cpu, {torch.get_num_threads()} threads"}
    return {
        "device": f"{device}, {torch.cuda.get_device_name(device)}",
        "device memory (MB)": f"{torch.cuda.memory_reserved(device) / 1e6:.0f}",
    }


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; returns the exit code."""
    try:
        return run_node(TrackerNode, _serve, args, TrackerNode.stop)
    except (ParameterError, ValueError) as error:
        print(f"tracker_node: {error}", file=sys.stderr)
        return 2


def _serve(node: TrackerNode) -> int:
    if node.settings.autostart:
        started = node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
        if not started and rclpy.ok():
            node.get_logger().fatal("autostart failed, see the error above")
            return 1
    spin(node)
    return 0


if __name__ == "__main__":
    sys.exit(main())
