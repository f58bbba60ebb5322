"""The tracker as a lifecycle node: subscriptions, the tracking thread, publishers. Wiring only."""

from __future__ import annotations

from typing import Any

import torch
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger
from vision_msgs.msg import Detection2D

from dcfst_core import Tracker, TrackState, choose_device
from dcfst_core.errors import BoxError, DCFSTError
from dcfst_core.inference.int8 import check_int8
from dcfst_core.inference.machine import give_back_freed_memory
from dcfst_core.media.image_messages import stamp_to_ns
from dcfst_core.network.checkpoint import load_model
from dcfst_core.tracking.tracker import DEFAULT_TARGET_ID
from dcfst_ros.compatibility import steady_timer
from dcfst_ros.conversions import class_id_of, detection_to_box
from dcfst_ros.frame_buffer import FrameBuffer
from dcfst_ros.health import NAMESAKES, Health
from dcfst_ros.image_conversion import Conversion, ConversionError, choose_conversion
from dcfst_ros.image_input import ImageInput
from dcfst_ros.node_diagnostics import describe_node
from dcfst_ros.outputs import TrackOutputs
from dcfst_ros.parameter_node import ParameterNode
from dcfst_ros.parameter_server import read_settings
from dcfst_ros.session import TrackingSession
from dcfst_ros.session_events import InitRequest, TargetReport

POLL_PERIOD_S = 0.2
HEARTBEAT_PERIOD_S = 1.0
# A detector may send all its boxes at once; a lost one would be a target never followed.
INIT_DEPTH = 100
# How long the end waits for the frame in work.
STOP_S, STOP_BY_SIGNAL_S = 30.0, 0.5
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class TrackerNode(ParameterNode):
    """Configure loads the network, activate tracks, deactivate frees the device."""

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("tracker", **node_arguments)
        self.health = Health()
        self.session: TrackingSession | None = None
        self.conversion: Conversion | None = None
        self._model: Any = None
        self._outputs: TrackOutputs | None = None
        self._input: ImageInput | None = None
        self._active_entities: list[tuple[Any, Any]] = []
        # Diagnostics and services answer in every lifecycle state, so they are made once.
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady_timer(self, self.settings.diagnostics_period_s, self._publish_diagnostics)
        steady_timer(self, HEARTBEAT_PERIOD_S, self._publish_heartbeat)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(SetBool, "~/enable", self._on_enable)

    # -- lifecycle -------------------------------------------------------------------------------

    @property
    def is_configured(self) -> bool:
        """Whether the network is loaded."""
        return self._model is not None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the weights, so that a bad file is found before the camera runs."""
        try:
            self.settings, self.tracker_config = read_settings(self, self.declared)
            device = choose_device(self.settings.device)
            self.conversion = choose_conversion(self.settings.image_conversion)
            model = load_model(self.settings.weights or None)
            config = self.tracker_config
            if config.precision == "int8":
                check_int8(config.int8_file, model, config.patch_size, device)
            self._model = model
        except (DCFSTError, ConversionError, ValueError, RuntimeError) as error:
            self.get_logger().error(f"cannot configure: {error}")
            self.health.note_fault(f"cannot configure: {error}")
            return FAILURE
        self.health.note_works()
        self.get_logger().info(f"images are converted by {self.conversion}")
        self._outputs = TrackOutputs(self, self.health, self.settings)
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Put the network on the device and start to listen."""
        assert self._outputs is not None and self.conversion is not None
        settings = self.settings
        if settings.cpu_threads:
            torch.set_num_threads(settings.cpu_threads)
        device = choose_device(settings.device)
        buffer = FrameBuffer(settings.buffer_frames, settings.buffer_mb * 1e6)
        tracker = Tracker(self._model, self.tracker_config, device)
        convert = self.conversion.convert
        self.session = TrackingSession(tracker, buffer, self._outputs, convert=convert)
        self.session.want_idle_frames = self._outputs.wants_debug
        self.on_settings()
        result = super().on_activate(state)
        self._outputs.status.state(TargetReport(DEFAULT_TARGET_ID, TrackState.IDLE))
        self._input = ImageInput(self, buffer, self.health, settings)
        self._input.poll()
        init = self.create_subscription(Detection2D, "~/init_box", self._on_init_box, INIT_DEPTH)
        timer = steady_timer(self, POLL_PERIOD_S, self._input.poll)
        self._active_entities = [(self.destroy_subscription, init), (self.destroy_timer, timer)]
        self.session.start()
        self.get_logger().info(
            f"tracking on {tracker.device}; waiting for images on {self._input.topic}, a box on "
            f"{init.topic_name}"
        )
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop tracking, say so of each target, and free the device's memory."""
        self.stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the network and take the topics away."""
        self._forget()
        give_back_freed_memory()
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

    def start(self) -> bool:
        """Configure and activate; whether both went well."""
        return self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS

    def stop(self) -> None:
        """End the tracking thread and free the device; safe in every state."""
        if self._input is not None:
            self._input.close()
            self._input = None
        for destroy, entity in self._active_entities:
            destroy(entity)
        self._active_entities = []
        if self.session is not None:
            alive = self.context.ok()
            if not self.session.stop(STOP_S if alive else STOP_BY_SIGNAL_S) and alive:
                raise RuntimeError(f"the tracking thread did not end within {STOP_S:.0f} s")
            self._publish_heartbeat(ended=True)
            self.session = None
        give_back_freed_memory()
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
        stamp_ns = stamp_to_ns(message.header.stamp)
        target_id = message.id or DEFAULT_TARGET_ID
        try:
            box_xywh = detection_to_box(message)
        except BoxError as error:
            request = InitRequest(target_id, (0.0, 0.0, 1.0, 1.0), stamp_ns)
            self._outputs.on_refused(request, str(error))
            return
        frame_id = message.header.frame_id
        self.session.request_init(
            InitRequest(target_id, box_xywh, stamp_ns, class_id_of(message), frame_id)
        )

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
        self.session.request_enabled(request.data)
        response.success = True
        response.message = "tracking" if request.data else "paused; targets are kept"
        return response

    def on_settings(self) -> None:
        """Hand the live settings to the parts that read them on every frame."""
        settings = self.settings
        if self._outputs is not None:
            self._outputs.settings = settings
        if self._input is not None:
            self._input.timeout_s = settings.no_image_timeout_s
        if self.session is not None:
            options = self.session.options
            options.catch_up_frames = settings.catch_up_frames
            options.stamp_tolerance_ns = int(settings.init_stamp_tolerance_s * 1e9)
            options.init_patience_s = settings.init_patience_s
            options.max_targets = settings.max_targets
            options.silence_s = settings.no_image_lost_s
            self.session.request_config(self.tracker_config)

    def _publish_heartbeat(self, ended: bool = False) -> None:
        if self._outputs is not None and self.context.ok():
            active = self.session is not None and not ended
            self._outputs.status.heartbeat(self.session.reports if active else [])

    def _publish_diagnostics(self) -> None:
        before, self.health.namesakes = self.health.namesakes, self._count_namesakes()
        if self.health.namesakes > before:
            self.get_logger().warning(NAMESAKES)
        message = DiagnosticArray(status=[describe_node(self)])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _count_namesakes(self) -> int:
        own = (self.get_name(), self.get_namespace())
        return max(0, self.get_node_names_and_namespaces().count(own) - 1)
