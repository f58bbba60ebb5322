"""The image subscription: it finds the right quality of service and says when nothing comes."""

from __future__ import annotations

import time
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSPolicyKind
from sensor_msgs.msg import CompressedImage, Image

from dcfst_core.media.image_messages import stamp_to_ns
from dcfst_ros.compatibility import subscribe
from dcfst_ros.frame_buffer import FrameBuffer
from dcfst_ros.health import LOSS_REMEDY, Health
from dcfst_ros.parameters import NodeSettings
from dcfst_ros.qos import choose_reliability, describe_publishers, image_qos

MESSAGES = {"raw": Image, "compressed": CompressedImage}
WARN_EVERY_S, LOSS_EVERY_S = 5.0, 60.0


def image_topic(node: Node, transport: str, remapped: bool = True) -> str:
    """The full topic name for a transport; remapping `image` moves the compressed one too.

    `remapped` False: the name it would have without remaps.
    """
    plain = f"{node.get_namespace().rstrip('/')}/image"
    if not remapped:
        return plain if transport == "raw" else f"{plain}/compressed"
    if transport == "raw":
        return node.resolve_topic_name("image")
    own = node.resolve_topic_name("image/compressed")
    unremapped = f"{plain}/compressed"
    return own if own != unremapped else node.resolve_topic_name("image") + "/compressed"


class ImageInput:
    """Subscribe to the images and put them into the buffer; call `poll` a few times a second.

    With no publisher there is no subscription: the first publisher decides its reliability, so no
    image is lost to a change of mind. Publishers that come or go later are followed.
    """

    def __init__(
        self, node: Node, buffer: FrameBuffer, health: Health, settings: NodeSettings
    ) -> None:
        self.topic = image_topic(node, settings.image_transport)
        self.timeout_s = settings.no_image_timeout_s
        self._node = node
        self._buffer = buffer
        self._health = health
        self._settings = settings
        self._message_type = MESSAGES[settings.image_transport]
        self._subscription: Any = None
        self._reliability: Any = None
        self._last_warning_s = 0.0
        self._started_s = time.monotonic()
        health.received.restart()

    def poll(self) -> None:
        """Follow the publishers there are now, and warn when no image came for too long."""
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        wanted = self._settings.image_reliability
        if publishers or wanted != "auto":
            reliability = choose_reliability(publishers, wanted)
            if reliability != self._reliability:
                self._subscribe(reliability, describe_publishers(publishers))
        self._warn_if_silent(publishers)

    def close(self) -> None:
        """End the subscription."""
        self._health.silence = ""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._reliability = None

    def _subscribe(self, reliability: Any, publishers: str) -> None:
        self.close()
        self._reliability = reliability
        self._subscription = subscribe(
            self._node,
            self._message_type,
            self.topic,
            self._on_image,
            image_qos(reliability, self._settings.image_queue_depth),
            incompatible_qos=self._on_incompatible_qos,
            message_lost=self._on_message_lost,
        )
        self._node.get_logger().info(
            f"subscribed to {self.topic} ({reliability.name.lower()}); {publishers}"
        )

    def _on_image(self, message: Any) -> None:
        self._health.received.tick()
        stamp_ns = stamp_to_ns(message.header.stamp)
        if self._buffer.push(message, stamp_ns, time.monotonic_ns()):
            self._node.get_logger().warning(
                f"stamps on {self.topic} went backwards (a bag that loops, or a camera that "
                "restarted): older frames are forgotten",
                throttle_duration_sec=WARN_EVERY_S,
            )

    def _on_incompatible_qos(self, event: Any) -> None:
        policy = QoSPolicyKind(event.last_policy_kind).name.lower()
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        self._node.get_logger().warning(
            f"a publisher of {self.topic} offers an incompatible {policy}: its images will not "
            f"arrive. Publishers: {describe_publishers(publishers)}. Set image_reliability to "
            "auto or best_effort"
        )

    def _on_message_lost(self, event: Any) -> None:
        self._health.note_lost_images(event.total_count_change)
        self._node.get_logger().warning(
            f"the middleware lost {event.total_count} images of {self.topic} so far: "
            f"{LOSS_REMEDY}",
            throttle_duration_sec=LOSS_EVERY_S,
        )

    def _warn_if_silent(self, publishers: list[Any]) -> None:
        now = time.monotonic()
        silent_s = min(self._health.received.silent_s(), now - self._started_s)
        if not 0 < self.timeout_s <= silent_s:
            self._health.silence = ""
            return
        why = f"{describe_publishers(publishers)}{self._hint(publishers)}"
        self._health.silence = f"no image on {self.topic}: {why}"
        if now - self._last_warning_s < max(self.timeout_s, WARN_EVERY_S):
            return
        self._last_warning_s = now
        text = f"no image on {self.topic} for {silent_s:.0f} s: {why}"
        self._health.add_error(text)
        self._node.get_logger().warning(text)

    def _hint(self, publishers: list[Any]) -> str:
        """What to do about silence, from what else is published."""
        wanted = f"{self._message_type.__module__.split('.')[0]}/msg/{self._message_type.__name__}"
        others = sorted({info.topic_type for info in publishers} - {wanted})
        if others:
            return f". This node expects {wanted}, there is {', '.join(others)}"
        if publishers:
            return ". They are there but silent, or on another ROS_DOMAIN_ID or network"
        topics = self._node.get_topic_names_and_types()
        images = [name for name, types in topics if wanted in types]
        images = [n for n in images if n != self.topic and "/debug_image" not in n]
        if not images:
            hint = f". Nobody publishes {wanted}: is the camera started, on this ROS_DOMAIN_ID?"
            own = image_topic(self._node, self._settings.image_transport, remapped=False)
            if self.topic == own:
                hint += " Its topic is given with --ros-args -r image:=/camera/image_raw"
            return hint
        base = images[0].removesuffix("/compressed") if "Compressed" in wanted else images[0]
        return (
            f". Topics of that type: {', '.join(images)}. To take the first: "
            f"--ros-args -r image:={base}, or image_topic:={base} with launch"
        )
