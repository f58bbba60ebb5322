"""What rclpy has in each ROS 2 distribution, as far as this package could use it.

Written from the public API documentation of rclpy (docs.ros.org, "rclpy" of each distribution)
and its change log: 3.3 (Humble), 7.1 (Jazzy), 9.1 (Kilted), 10.0 (Lyrical). Jazzy's and Kilted's
are compared with the real thing where it is installed.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

DISTRIBUTIONS = ("humble", "jazzy", "kilted", "lyrical")

# Modules and names that all four have.
COMMON: dict[str, tuple[str, ...]] = {
    "rclpy": (
        *("init", "shutdown", "try_shutdown", "ok", "create_node", "spin", "spin_once"),
        *("spin_until_future_complete", "get_default_context", "Context"),
    ),
    "rclpy.node": ("Node",),
    "rclpy.lifecycle": ("LifecycleNode", "LifecycleState", "TransitionCallbackReturn"),
    "rclpy.clock": ("Clock", "ClockType"),
    "rclpy.time": ("Time",),
    "rclpy.duration": ("Duration",),
    "rclpy.parameter": ("Parameter",),
    "rclpy.executors": (
        *("SingleThreadedExecutor", "MultiThreadedExecutor", "ExternalShutdownException"),
    ),
    "rclpy.exceptions": ("InvalidParameterTypeException", "InvalidParameterValueException"),
    "rclpy.qos": (
        *("QoSProfile", "QoSPolicyKind", "ReliabilityPolicy", "DurabilityPolicy"),
        *("HistoryPolicy", "qos_profile_sensor_data"),
    ),
    "rclpy.subscription": ("Subscription",),
    "rclpy.publisher": ("Publisher",),
    "rclpy.serialization": ("serialize_message", "deserialize_message"),
    "rclpy._rclpy_pybind11": ("RCLError",),
}
EVENTS = ("SubscriptionEventCallbacks", "PublisherEventCallbacks", "UnsupportedEventTypeError")

# Methods of a lifecycle node.
NODE_METHODS = frozenset(
    """
    add_managed_entity add_on_set_parameters_callback add_waitable context count_publishers
    count_subscribers create_client create_guard_condition create_lifecycle_publisher
    create_publisher create_rate create_service create_subscription create_timer
    declare_parameter declare_parameters default_callback_group describe_parameter
    describe_parameters destroy_client destroy_guard_condition destroy_lifecycle_publisher
    destroy_node destroy_publisher destroy_rate destroy_service destroy_subscription
    destroy_timer executor get_client_names_and_types_by_node get_clock get_fully_qualified_name
    get_logger get_name get_namespace get_node_names get_node_names_and_namespaces
    get_parameter get_parameter_or get_parameter_type get_parameter_types get_parameters
    get_parameters_by_prefix get_publisher_names_and_types_by_node get_publishers_info_by_topic
    get_service_names_and_types get_service_names_and_types_by_node
    get_subscriber_names_and_types_by_node get_subscriptions_info_by_topic
    get_topic_names_and_types handle has_parameter on_activate on_cleanup on_configure
    on_deactivate on_error on_shutdown remove_on_set_parameters_callback
    remove_waitable resolve_service_name resolve_topic_name set_descriptor set_parameters
    set_parameters_atomically trigger_activate trigger_cleanup trigger_configure
    trigger_deactivate trigger_shutdown undeclare_parameter _parameter_overrides
    """.split()
)
NEWER_NODE_METHODS = frozenset(
    """
    add_pre_set_parameters_callback add_post_set_parameters_callback wait_for_node
    remove_pre_set_parameters_callback remove_post_set_parameters_callback
    """.split()
)


def surface(distribution: str) -> dict[str, tuple[str, ...]]:
    """Names by module of one distribution's rclpy."""
    modules = dict(COMMON)
    if distribution == "humble":
        modules["rclpy.qos_event"] = EVENTS
    else:
        modules["rclpy.event_handler"] = EVENTS
    if distribution in ("jazzy", "kilted"):
        modules["rclpy.qos_event"] = EVENTS  # deprecated, gone in Lyrical
    return modules


def install_stub(distribution: str) -> None:
    """Make `import rclpy` give nothing but the names that a distribution has."""
    for module, names in surface(distribution).items():
        stub = sys.modules[module] = ModuleType(module)
        stub.__path__ = []  # type: ignore[attr-defined]
        for name in names:
            setattr(stub, name, _stub_class(name, distribution))
        parent, _, child = module.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, stub)


def _stub_class(name: str, distribution: str) -> Any:
    body: dict[str, Any] = {}
    if name in ("Node", "LifecycleNode"):
        methods = NODE_METHODS | (NEWER_NODE_METHODS if distribution != "humble" else frozenset())
        body = {method: (lambda self, *a, **k: None) for method in methods}
    if name in ("ReliabilityPolicy", "DurabilityPolicy", "HistoryPolicy", "ClockType"):
        values = ("RELIABLE", "BEST_EFFORT", "TRANSIENT_LOCAL", "KEEP_LAST", "STEADY_TIME")
        body = {value: value for value in values}
    if name == "TransitionCallbackReturn":
        body = {"SUCCESS": 0, "FAILURE": 1, "ERROR": 2}
    if name == "Clock":
        body = {"__init__": lambda self, *, clock_type: setattr(self, "clock_type", clock_type)}
    if name == "SubscriptionEventCallbacks":
        body = {"__init__": lambda self, **events: self.__dict__.update(events)}
    base = Exception if name.endswith(("Error", "Exception")) else object
    return type(name, (base,), body)
