"""The tracker node's own entry in /diagnostics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from dcfst_ros.health import Limits, Situation, status_name

if TYPE_CHECKING:
    from dcfst_ros.tracker_lifecycle import TrackerNode


def describe_node(node: TrackerNode) -> DiagnosticStatus:
    """Level and line follow the worst of the targets and the inputs; values tell the rest."""
    session = node.session
    states = {} if session is None else {r.target_id: r.state for r in session.reports}
    limits = Limits(
        node.settings.latency_warn_ms,
        node.settings.latency_error_ms,
        node.settings.output_rate_warn_hz,
    )
    level, line, values = node.health.judge(limits, Situation(_activity(node), states))
    device = ""
    if session is not None:
        session.following.time_next_frame = True  # one frame per period pays for stage times
        device = device_name(session.tracker.device)
        values["images skipped (newer one came)"] = str(session.buffer.skipped)
        values["images ignored while disabled"] = str(session.paused_frames)
        values["images kept (MB)"] = f"{session.buffer.held_bytes / 1e6:.1f}"
        values["boxes waiting"] = str(session.boxes_waiting)
        values["device"] = device
        if session.tracker.device.type == "cuda":
            reserved = torch.cuda.memory_reserved(session.tracker.device)
            values["device memory (MB)"] = f"{reserved / 1e6:.0f}"
    if node.conversion is not None:
        values["image conversion"] = str(node.conversion)
    values.update({f"state of {name}": state.value for name, state in states.items()})
    return DiagnosticStatus(
        level=bytes([level]),
        name=status_name(node.get_fully_qualified_name()),
        message=line,
        hardware_id=device,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def device_name(device: torch.device) -> str:
    """What the tracker runs on, with the name of a GPU."""
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    return f"cpu, {torch.get_num_threads()} threads"


def _activity(node: TrackerNode) -> str:
    if node.session is not None:
        return "active" if node.session.enabled else "paused"
    return "inactive" if node.is_configured else "unconfigured"
