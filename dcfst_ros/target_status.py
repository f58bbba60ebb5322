"""What is said of each target beside its box: ~/state on change, ~/status every second, and the
answer to each box on ~/init_result."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from dcfst_core import TrackState
from dcfst_ros.latched import LatchedById
from dcfst_ros.qos import latched_qos
from dcfst_ros.session_events import InitReport, InitRequest, TargetReport

STATE_LEVELS = {
    TrackState.IDLE: DiagnosticStatus.OK,
    TrackState.TRACKING: DiagnosticStatus.OK,
    TrackState.UNCERTAIN: DiagnosticStatus.WARN,
    TrackState.LOST: DiagnosticStatus.ERROR,
}
# A frame may take that long where many targets meet a small CPU; beyond it the thread hangs.
STALE_S = 5.0


class TargetStatus:
    """Publishes states, heartbeats and answers; the topics live from configure to cleanup."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._state = LatchedById(node, DiagnosticStatus, "~/state")
        self._result = LatchedById(node, DiagnosticStatus, "~/init_result")
        self._status = node.create_publisher(DiagnosticArray, "~/status", latched_qos())

    def destroy(self) -> None:
        """Take the topics away."""
        self._state.destroy()
        self._result.destroy()
        self._node.destroy_publisher(self._status)

    def state(self, report: TargetReport) -> None:
        """A target's new state."""
        over = report.state is TrackState.IDLE and report.reason != "paused"
        self._state.publish(report.target_id, self._describe(report), over)

    def heartbeat(self, reports: list[TargetReport]) -> None:
        """All targets as they are now, stamped now; empty when there is none."""
        message = DiagnosticArray(status=[self._describe(r, time.monotonic()) for r in reports])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._status.publish(message)

    def started(self, report: InitReport) -> None:
        """The answer to a box that is followed."""
        values = {
            "stamp": stamp_text(report.frame.stamp_ns),
            "frames back": str(report.waiting_frames),
            "frames caught up": str(report.caught_up_frames),
            "milliseconds": f"{report.duration_ms:.0f}",
        }
        self._answer(report.request.target_id, DiagnosticStatus.OK, "started", values)

    def released(self, target_id: str, why: str) -> None:
        """The answer to a release, and the end of a target for any other reason."""
        message = "released" if why == "released" else f"released: {why}"
        self._answer(target_id, DiagnosticStatus.OK, message, {})

    def refused(self, request: InitRequest, reason: str) -> None:
        """The answer to a box that is not followed."""
        values = {"stamp": stamp_text(request.stamp_ns)}
        self._answer(request.target_id, DiagnosticStatus.ERROR, f"refused: {reason}", values)

    def _answer(self, target_id: str, level: bytes, text: str, values: dict[str, str]) -> None:
        message = self._status_of(target_id, level, text, values)
        self._result.publish(target_id, message, over=True)

    def _describe(self, report: TargetReport, now_s: float | None = None) -> DiagnosticStatus:
        level = STATE_LEVELS[report.state]
        values = {"score": f"{report.score:.4f}", "stamp": stamp_text(report.stamp_ns)}
        if report.box_xywh is not None:
            values["box"] = ", ".join(f"{value:.2f}" for value in report.box_xywh)
        if report.class_id:
            values["class"] = report.class_id
        if report.reason:
            values["reason"] = report.reason
        if now_s is not None:
            values["age (s)"] = f"{now_s - report.at_s:.2f}"
            if now_s - report.at_s > STALE_S and report.reason == "":
                level = DiagnosticStatus.STALE
        return self._status_of(report.target_id, level, report.state.value, values)

    def _status_of(
        self, name: str, level: bytes, message: str, values: dict[str, str]
    ) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=level,
            name=name,
            message=message,
            hardware_id=self._node.get_fully_qualified_name(),
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )


def stamp_text(stamp_ns: int) -> str:
    """Seconds with nanoseconds, as `ros2 topic echo` users write stamps."""
    return f"{stamp_ns // 1_000_000_000}.{stamp_ns % 1_000_000_000:09d}"
