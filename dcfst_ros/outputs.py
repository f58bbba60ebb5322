"""Everything the tracker node publishes about targets; called on the tracking thread."""

from __future__ import annotations

import time
import traceback
from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray

from dcfst_core import Track, TrackState
from dcfst_core.errors import is_out_of_memory
from dcfst_core.media.drawing import draw_tracks
from dcfst_core.media.image_messages import rgb_to_image
from dcfst_ros.conversions import make_detection
from dcfst_ros.health import Health
from dcfst_ros.parameters import NodeSettings
from dcfst_ros.prediction import ConstantVelocity
from dcfst_ros.session_events import FrameResult, InitReport, InitRequest, TargetReport
from dcfst_ros.target_status import TargetStatus

TRACK_DEPTH = 10
WARN_EVERY_S = 5.0
OUT_OF_MEMORY = (
    "no memory left for this frame, tracking goes on with the next one: fewer targets, smaller "
    "images, tracker_preset: fast, or buffer_mb below 256 need less"
)


class TrackOutputs:
    """The session's listener: turns results into messages with the image's own header."""

    def __init__(self, node: LifecycleNode, health: Health, settings: NodeSettings) -> None:
        self.settings = settings
        self._node = node
        self._health = health
        self._track = node.create_lifecycle_publisher(Detection2D, "~/track", TRACK_DEPTH)
        self._tracks = node.create_lifecycle_publisher(Detection2DArray, "~/tracks", TRACK_DEPTH)
        self.status = TargetStatus(node)
        self._predicted = node.create_lifecycle_publisher(
            Detection2D, "~/track_predicted", TRACK_DEPTH
        )
        self._motion = ConstantVelocity(horizon_s=settings.prediction_horizon_s)
        self._debug = node.create_lifecycle_publisher(Image, "~/debug_image", 1)
        self._last_debug_s = 0.0
        self._loggers: dict[str, Any] = {}
        self._publishers = (self._track, self._tracks, self._debug, self._predicted)

    def destroy(self) -> None:
        """Take the topics away."""
        self.status.destroy()
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)

    def wants_debug(self) -> bool:
        """Whether somebody looks at the overlay and it is time for another one."""
        due_s = self._last_debug_s + 1.0 / self.settings.debug_image_max_rate_hz
        return time.monotonic() >= due_s and self._debug.get_subscription_count() > 0

    def on_result(self, result: FrameResult) -> None:
        """Publish one frame's targets: those seen now, never a stale box."""
        header = result.frame.message.header
        self._health.note_works()
        self._publish_tracks(header, result)
        if result.tracks:
            self._publish_predicted(header, result)
            self._note_times(result)
        if result.frame_rgb is not None and self.wants_debug():
            self._last_debug_s = time.monotonic()
            self._debug.publish(self._overlay(header, result))

    def on_state(self, report: TargetReport) -> None:
        """Publish a target's new state, latched."""
        if not self._node.context.ok():
            return  # a signal ended ROS; there is nobody to tell
        self.status.state(report)
        if report.state is not TrackState.TRACKING:
            self._motion.forget(report.target_id)
        why = report.reason or f"score {report.score:.2f}"
        self._node.get_logger().info(f"{report.target_id}: {report.state.value} ({why})")

    def on_init(self, report: InitReport) -> None:
        """Say how long the start took, catch-up included."""
        self.status.started(report)
        text = f"{report.request.target_id}: started in {report.duration_ms:.0f} ms"
        if report.waiting_frames:
            text += (
                f" on a frame {report.waiting_frames} frames back, caught up through "
                f"{report.caught_up_frames} of them"
            )
        self._node.get_logger().info(text)

    def on_released(self, target_id: str, why: str) -> None:
        """Answer a release."""
        if not self._node.context.ok():
            return
        self.status.released(target_id, why)

    def on_refused(self, request: InitRequest, reason: str) -> None:
        """Say why a box was not taken; the target held before goes on."""
        self.status.refused(request, reason)
        what = "release of" if request.is_release else "init box for"
        text = f"{what} {request.target_id!r} refused: {reason}"
        self._health.add_error(text)
        # Never throttled: each box gets its answer, in the log too.
        self._node.get_logger().warning(text)

    def on_warning(self, topic: str, message: str) -> None:
        """A throttled warning; each topic has its own throttle."""
        if topic == "image":
            self._health.note_fault(message)
        else:
            self._health.add_error(message)
        if topic not in self._loggers:  # a logger object remembers what it throttles
            self._loggers[topic] = self._node.get_logger().get_child(topic)
        self._loggers[topic].warning(message, throttle_duration_sec=WARN_EVERY_S)

    def on_error(self, error: Exception) -> None:
        """Something unforeseen on the tracking thread: report it and go on."""
        if not self._node.context.ok():
            return
        if is_out_of_memory(error):
            text = f"{OUT_OF_MEMORY} ({error})"
            self._health.note_fault(text)
        else:
            self._health.note_fault(f"{type(error).__name__}: {error}")
            text = "".join(traceback.format_exception(error))
        self._node.get_logger().error(text, throttle_duration_sec=WARN_EVERY_S)

    def _publish_tracks(self, header: Header, result: FrameResult) -> None:
        seen = [
            self._detection(header, track, result)
            for track in result.tracks
            if self._is_seen(track)
        ]
        for detection in seen:
            self._track.publish(detection)
        # Also when empty: "looked, and saw nothing" is news for whoever follows frame by frame.
        self._tracks.publish(Detection2DArray(header=header, detections=seen))

    def _note_times(self, result: FrameResult) -> None:
        now_ns = self._node.get_clock().now().nanoseconds
        stamp_ns = result.frame.stamp_ns
        inside_ms = (time.monotonic_ns() - result.frame.arrival_ns) / 1e6
        latency_s = (now_ns - stamp_ns) / 1e9 if stamp_ns else None
        self._health.add_frame(latency_s, inside_ms, result.track_ms, result.busy_ms)
        if result.stage_ms:
            self._health.add_stages({"convert": result.convert_ms, **result.stage_ms})

    def _publish_predicted(self, header: Header, result: FrameResult) -> None:
        """The boxes moved to now, for control loops; only when somebody wants them."""
        for track in result.tracks:
            if track.state is TrackState.TRACKING:
                self._motion.observe(track.target_id, result.frame.stamp_ns, track.box_xywh)
            else:
                self._motion.forget(track.target_id)
        if not self._predicted.get_subscription_count():
            return
        now = self._node.get_clock().now()
        for track in result.tracks:
            box = self._motion.predict(track.target_id, now.nanoseconds)
            if box is not None:
                moved = Header(stamp=now.to_msg(), frame_id=header.frame_id)
                class_id = result.class_ids.get(track.target_id, "")
                self._predicted.publish(
                    make_detection(moved, track.target_id, box, track.score, class_id)
                )

    def _is_seen(self, track: Track) -> bool:
        if track.state is TrackState.UNCERTAIN:
            return self.settings.publish_uncertain
        return track.state is TrackState.TRACKING

    def _detection(self, header: Header, track: Track, result: FrameResult) -> Detection2D:
        class_id = result.class_ids.get(track.target_id, "")
        return make_detection(header, track.target_id, track.box_xywh, track.score, class_id)

    def _overlay(self, header: Header, result: FrameResult) -> Any:
        note = "" if result.tracks else "idle: waiting for a box"
        assert result.frame_rgb is not None
        return rgb_to_image(
            draw_tracks(result.frame_rgb, result.tracks, note), Image(header=header)
        )
