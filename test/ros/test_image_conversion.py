"""cv_bridge or the own code: the same pixels, the right choice, and the reason told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dcfst_core.media.image_messages import ENCODINGS
from dcfst_ros import image_conversion
from dcfst_ros.image_conversion import ConversionError, choose_conversion

ROOT = Path(__file__).resolve().parent.parent.parent

# Run by a Python that has cv_bridge: Debian's is compiled for Debian's NumPy.
COMPARE = """
import json
from types import SimpleNamespace
import numpy as np
from cv_bridge import CvBridge
from dcfst_core.media.image_messages import ENCODINGS, to_rgb
from dcfst_ros.image_conversion import choose_conversion, with_cv_bridge

chosen = choose_conversion("auto")
bridge, taken = CvBridge(), {}
for name, spec in ENCODINGS.items():
    height, width = 12, 16
    rows, row = int(height * spec.rows_per_line), width * spec.channels * spec.bits // 8
    for padding in (0, 12):
        for big in (0, 1):
            data = np.zeros((rows, row + padding), np.uint8)
            data[:, :row] = np.random.default_rng(7).integers(0, 256, (rows, row))
            message = SimpleNamespace(
                height=height, width=width, encoding=name, step=row + padding,
                is_bigendian=big, data=data.tobytes(),
            )
            calls = []
            class Spy(CvBridge):
                def imgmsg_to_cv2(self, *arguments):
                    result = super().imgmsg_to_cv2(*arguments)
                    calls.append(1)
                    return result
            import cv_bridge
            cv_bridge.CvBridge, kept = Spy, cv_bridge.CvBridge
            convert = with_cv_bridge()
            cv_bridge.CvBridge = kept
            same = np.array_equal(convert(message), to_rgb(message))
            taken[f"{name} {padding} {big}"] = [bool(calls), bool(same)]
print(json.dumps({"name": chosen.name, "why": chosen.why, "taken": taken}))
"""


def python_with_cv_bridge() -> str | None:
    """This Python or the system's, whichever can use cv_bridge."""
    for python in (sys.executable, "/usr/bin/python3"):
        code = "import cv_bridge, cv2, numpy"
        if (
            os.path.exists(python)
            and not subprocess.run(
                [python, "-c", code], capture_output=True, timeout=100
            ).returncode
        ):
            return python
    return None


def test_cv_bridge_and_the_own_code_give_the_same_pixels_of_every_encoding() -> None:
    python = python_with_cv_bridge()
    if python is None:
        pytest.skip("no cv_bridge here (a ROS install has it; Debian: python3-cv-bridge)")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [python, "-c", COMPARE], env=env, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["name"] == "cv_bridge" and told["why"].startswith("works with NumPy")
    wrong = [name for name, (_, same) in told["taken"].items() if not same]
    assert not wrong, "other pixels"
    by_bridge = {name.split()[0] for name, (bridge, _) in told["taken"].items() if bridge}
    assert by_bridge >= {"rgb8", "bgr8", "bgra8", "mono8", "mono16", "bgr16", "bayer_rggb8"}
    assert len(told["taken"]) == 4 * len(ENCODINGS)


def fake_cv_bridge(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    (folder / "cv_bridge.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")
    monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("raise ImportError('numpy.core.multiarray failed to import')", "failed to import"),
        ("import os; os.abort()", "it ended with -6"),
        (
            "class CvBridge:\n    def imgmsg_to_cv2(self, m, e):\n        import numpy\n"
            "        return numpy.zeros((2, 4, 3), numpy.uint8)",
            "gives other pixels",
        ),
    ],
)
def test_a_cv_bridge_of_another_numpy_is_left_alone_and_the_reason_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, fault: str
) -> None:
    fake_cv_bridge(tmp_path, monkeypatch, code)
    chosen = choose_conversion("auto")
    assert chosen.name == "builtin" and fault in str(chosen)
    with pytest.raises(ConversionError, match="expected a working cv_bridge for"):
        choose_conversion("cv_bridge")
    assert choose_conversion("builtin").why == "as image_conversion says"


def test_without_cv_bridge_the_own_code_converts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_conversion.importlib.util, "find_spec", lambda name: None)
    chosen = choose_conversion("auto")
    assert str(chosen) == "builtin (cv_bridge is not installed)"
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 4, 3)
    message = SimpleNamespace(
        height=1, width=4, encoding="rgb8", step=12, is_bigendian=0, data=pixels.tobytes()
    )
    np.testing.assert_array_equal(chosen.convert(message), pixels)
