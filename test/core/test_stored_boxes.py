"""The tracker's boxes on three clips are those that were stored; make_boxes.py makes them anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
STORED = HERE / "data" / "boxes.json"
CLIPS_ROOT = HERE.parents[2] / "shared" / "data" / "dev"

pytestmark = [
    pytest.mark.skipif(not CLIPS_ROOT.is_dir(), reason=f"needs the clips in {CLIPS_ROOT}"),
    pytest.mark.skipif(not STORED.is_file(), reason=f"{STORED.name} is not made yet"),
]


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    return json.loads(STORED.read_text())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What this checkout makes, in a process of its own: on one thread from the start."""
    path = tmp_path_factory.mktemp("boxes") / "boxes.json"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(HERE / "make_boxes.py"), str(path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text())


def test_the_boxes_are_those_that_were_stored(
    stored: dict[str, Any], made: dict[str, Any]
) -> None:
    """Exactly, where they were made; on another processor or PyTorch to a pixel."""
    same_machine = made["made_on"] == stored["made_on"]
    assert made["boxes_xywh"].keys() == stored["boxes_xywh"].keys()
    for clip, expected in stored["boxes_xywh"].items():
        found = made["boxes_xywh"][clip]
        assert len(found) == len(expected)
        for index, (box, wanted) in enumerate(zip(found, expected, strict=True)):
            where = f"{clip}, frame {index + 1}"
            if same_machine:
                assert box == wanted, where
            else:
                assert box == pytest.approx(wanted, abs=1.0), where
