"""The environment script: clear errors for what a machine may lack, and the real vision_msgs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing but the scripts, to fail in."""
    shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def set_up(checkout: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the script as a user does; the marker of the ROS wheels' re-exec must not leak in."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("_ROS", "LD_LIBRARY"))}
    env.update(changes)
    command = [sys.executable, str(checkout / "scripts" / "setup_env.py"), "--run-only"]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def only_path(tmp_path: Path, *programs: str) -> str:
    """A PATH with some programs and no others."""
    folder = tmp_path / "few_programs"
    folder.mkdir()
    for program in programs:
        found = shutil.which(program)
        assert found is not None
        (folder / program).symlink_to(found)
    return str(folder)


def test_a_machine_without_a_compiler_is_told_before_anything_is_fetched(checkout: Path) -> None:
    done = set_up(checkout, PATH=only_path(checkout, "make"), CXX="")
    assert done.returncode == 1
    assert "expected a C++ compiler" in done.stderr and "build-essential" in done.stderr
    assert not (checkout / ".venv" / "bin").exists()


def test_a_wrong_python_is_named_with_what_is_expected(checkout: Path) -> None:
    done = set_up(checkout, DCFST_PYTHON=str(checkout / "no_python"))
    assert done.returncode == 1
    assert "expected a CPython 3.10, 3.11, 3.12 or 3.13" in done.stderr
    assert "no_python does not run" in done.stderr


def test_an_old_python_is_refused_with_its_version(checkout: Path) -> None:
    old = sorted(Path.home().glob(".pyenv/versions/3.[6-9].*/bin/python"))
    if not old:
        pytest.skip("no Python older than 3.10 on this machine")
    done = set_up(checkout, DCFST_PYTHON=str(old[0]))
    assert done.returncode == 1 and "is outside 3.10 to 3.13" in done.stderr
    by_old = subprocess.run(
        [str(old[0]), str(checkout / "scripts" / "setup_env.py"), "--help"],
        capture_output=True,
        text=True,
    )
    assert by_old.returncode == 0 and "DCFST_PYTHON" in by_old.stdout


def test_no_network_is_diagnosed_and_a_second_run_goes_on(checkout: Path) -> None:
    nowhere = "http://127.0.0.1:9/simple"
    offline = {
        "PIP_INDEX_URL": nowhere,
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
    }
    done = set_up(checkout, **offline)
    assert done.returncode == 1
    assert "[1/6] virtual environment" in done.stdout and "[2/6] PyTorch" in done.stdout
    assert "step 'torch' failed" in done.stderr
    assert "the package index could not be reached" in done.stderr
    stamps = json.loads((checkout / ".venv" / ".setup_done.json").read_text())
    assert "venv" in stamps and "torch" not in stamps
    again = set_up(checkout, **offline)
    assert "[1/6]" not in again.stdout and "[2/6] PyTorch" in again.stdout


def test_failures_are_told_apart() -> None:
    sys.path.insert(0, str(SCRIPTS))
    try:
        import setup_checks
    finally:
        sys.path.remove(str(SCRIPTS))
    assert "disk is full" in setup_checks.diagnose("OSError: [Errno 28] No space left on device")
    assert "no such version" in setup_checks.diagnose(
        "ERROR: No matching distribution found for torch==99"
    )
    with pytest.raises(setup_checks.SetupError, match=r"expected 1000000 GB free at .*, found"):
        setup_checks.check_disk(str(ROOT), needed_gb=1e6)


@pytest.mark.ros
class TestVisionMessages:
    """vision_msgs as generated here against an independent computation of the type hashes.

    The hash (RIHS01) is what two ROS nodes compare: equal structure, names and order give equal
    hashes. rosbags computes it from the definitions with its own parser and its own code.
    """

    @pytest.fixture
    def share(self) -> Path:
        module = pytest.importorskip("vision_msgs")
        # <prefix>/lib/python3.x/site-packages/vision_msgs/__init__.py
        return Path(module.__file__).parents[4] / "share" / "vision_msgs"

    def test_type_hashes(self, share: Path) -> None:
        typesys = pytest.importorskip("rosbags.typesys")
        store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
        types: dict[str, object] = {}
        sources = SCRIPTS / "ros_env" / "vision_msgs" / "msg"
        for path in sorted(sources.glob("*.msg")):
            name = f"vision_msgs/msg/{path.stem}"
            types.update(typesys.get_types_from_msg(path.read_text(), name))
        store.register(types)
        generated = sorted((share / "msg").glob("*.json"))
        assert len(generated) == len(types) == 16
        for path in generated:
            hashes = {
                entry["type_name"]: entry["hash_string"]
                for entry in json.loads(path.read_text())["type_hashes"]
            }
            for name in (f"vision_msgs/msg/{path.stem}", "std_msgs/msg/Header"):
                if name in hashes:
                    assert store.hash_rihs01(name) == hashes[name], name

    def test_the_generated_module_has_the_public_fields(self) -> None:
        from vision_msgs.msg import BoundingBox2D, Detection2D, ObjectHypothesisWithPose

        assert Detection2D.get_fields_and_field_types() == {
            "header": "std_msgs/Header",
            "results": "sequence<vision_msgs/ObjectHypothesisWithPose>",
            "bbox": "vision_msgs/BoundingBox2D",
            "id": "string",
        }
        assert BoundingBox2D.get_fields_and_field_types() == {
            "center": "vision_msgs/Pose2D",
            "size_x": "double",
            "size_y": "double",
        }
        assert ObjectHypothesisWithPose.get_fields_and_field_types() == {
            "hypothesis": "vision_msgs/ObjectHypothesis",
            "pose": "geometry_msgs/PoseWithCovariance",
        }
