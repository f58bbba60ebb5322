"""Messages with any value in any field, over DDS to a running node: it answers and goes on."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("vision_msgs")
pytestmark = pytest.mark.ros

from fuzzing import Fuzz  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from ros_bench import Bench, scene  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2D, ObjectHypothesisWithPose  # noqa: E402

from dcfst_core.media.image_messages import ENCODINGS, rgb_to_image, stamp_to_ns  # noqa: E402

UINT32 = st.one_of(st.integers(0, 200), st.sampled_from([2**16, 2**31, 2**32 - 1]))
FLOATS = st.one_of(st.floats(-200, 300), st.floats(), st.sampled_from([0.0, 1e-320, 1e308]))
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
STAMP = {"sec": st.integers(-(2**31), 2**31 - 1), "nanosec": st.integers(0, 2**32 - 1)}
IMAGES = st.fixed_dictionaries(
    {
        **{"width": UINT32, "height": UINT32, "step": UINT32, "is_bigendian": st.integers(0, 255)},
        "encoding": st.one_of(st.sampled_from(sorted(ENCODINGS)), WORDS),
        **{"data": st.binary(max_size=400), "frame_id": WORDS, **STAMP},
    }
)
BOXES = st.fixed_dictionaries(
    {
        **{"x": FLOATS, "y": FLOATS, "size_x": FLOATS, "size_y": FLOATS},
        "theta": st.one_of(st.just(0.0), FLOATS),
        **{"class_id": WORDS, "score": FLOATS, "frame_id": st.one_of(st.just(""), WORDS)},
        "now": st.booleans(),
        **STAMP,
    }
)


def image_of(case: dict[str, Any]) -> Image:
    message = Image(encoding=case["encoding"], data=array("B", case["data"]))
    message.width, message.height, message.step = case["width"], case["height"], case["step"]
    message.is_bigendian, message.header.frame_id = case["is_bigendian"], case["frame_id"]
    message.header.stamp.sec, message.header.stamp.nanosec = case["sec"], case["nanosec"]
    return message


def box_of(case: dict[str, Any], target_id: str) -> Detection2D:
    message, result = Detection2D(id=target_id), ObjectHypothesisWithPose()
    message.bbox.center.position.x, message.bbox.center.position.y = case["x"], case["y"]
    message.bbox.size_x, message.bbox.size_y = case["size_x"], case["size_y"]
    message.bbox.center.theta = case["theta"]
    result.hypothesis.class_id, result.hypothesis.score = case["class_id"], case["score"]
    message.results = [result]
    message.header.frame_id = case["frame_id"]
    if not case["now"]:
        message.header.stamp.sec, message.header.stamp.nanosec = case["sec"], case["nanosec"]
    return message


@pytest.mark.fuzz(8)
@pytest.mark.fault("messages with any value in any field")
def test_messages_to_a_running_node(fuzz: Fuzz, shared: Bench) -> None:
    """Each box is answered; tracks are finite; good images are tracked in between."""
    shared.begin(scene(0))
    images, boxes = shared.image_publisher(), shared.box_publisher()
    node = shared.processes[0]

    def check(case: tuple[dict[str, Any], dict[str, Any]]) -> None:
        images.publish(image_of(case[0]))
        name = f"n{fuzz.done}"
        boxes.publish(box_of(case[1], name))
        shared.until(lambda: any(r.name == name for r in shared.results), f"an answer to {case}")
        if fuzz.done % 20 == 0:
            header = shared.header()
            shared.image_publisher().publish(rgb_to_image(scene(1), Image(header=header)))
            answer = shared.answer_to(stamp_to_ns(header.stamp))
            for detection in answer.detections:
                centre, score = detection.bbox.center.position, detection.results[0].hypothesis
                numbers = [centre.x, centre.y, detection.bbox.size_x, score.score]
                assert np.isfinite(numbers).all()
            shared.fresh()
        assert node.process.poll() is None and "Traceback" not in node.log, node.log

    fuzz.draw(st.tuples(IMAGES, BOXES), check)
    shared.fresh()
    shared.begin(scene(0))
    (answer,) = shared.follow([scene(1)])
    assert [d.id for d in answer.detections] == ["target"]
