"""What is installed, by pip and by colcon; and which way the imports go."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("dcfst_core", "dcfst_ros", "launch", "config", "resource")
FILES = ("setup.py", "setup.cfg", "pyproject.toml", "package.xml", "README.md", "LICENSE")
SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that building leaves nothing in the checkout."""
    folder = tmp_path_factory.mktemp("workspace") / "src" / "dcfst_ros"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in PARTS:
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder / name)
    return folder


def run(command: list[str], cwd: Path, **changes: str) -> str:
    """Run a command in a clean Python environment; its output, or a failure with it."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "AMENT_PREFIX_PATH")}
    done = subprocess.run(
        command, cwd=cwd, env={**env, **changes}, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def check_share(prefix: Path) -> None:
    """Files that ROS tools look for."""
    assert (prefix / "share/ament_index/resource_index/packages/dcfst_ros").is_file()
    share = prefix / "share" / "dcfst_ros"
    assert (share / "package.xml").is_file()
    assert (share / "launch" / "tracker.launch.py").is_file()
    assert (share / "config" / "tracker.yaml").is_file()
    assert (share / "config" / "fastdds_images.xml").is_file()


def check_modules(site: Path) -> None:
    """Both packages, whole, with the weights that are in the checkout."""
    for name in ("dcfst_core", "dcfst_ros"):
        wanted = {p.relative_to(ROOT / name) for p in (ROOT / name).rglob("*.py")}
        found = {p.relative_to(site / name) for p in (site / name).rglob("*.py")}
        assert wanted == found
    weights = {p.name for p in (ROOT / "dcfst_core" / "weights").glob("*.safetensors")}
    assert weights == {p.name for p in (site / "dcfst_core" / "weights").glob("*.safetensors")}
    assert (site / "dcfst_core" / "py.typed").is_file()


def check_library(site: Path, cwd: Path) -> None:
    """The installed copy is importable on its own and finds its own weights."""
    code = (
        "import dcfst_core, dcfst_core.network.checkpoint as c; print(dcfst_core.__file__);"
        "print(c.default_weights_path())"
    )
    lines = run([sys.executable, "-c", code], cwd, PYTHONPATH=str(site)).split()
    assert [Path(line).is_relative_to(site) for line in lines] == [True, True]


def test_pip_install_gives_the_command_and_the_library(sources: Path, tmp_path: Path) -> None:
    options = ["--no-deps", "--no-build-isolation", "--no-compile", "--prefix", str(tmp_path)]
    # --ignore-installed: the checkout itself may be installed here, editable.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--ignore-installed"]
    run([*pip, *options, str(sources)], tmp_path)
    assert not (tmp_path / "lib" / "dcfst_ros").exists()  # that place is for colcon
    for name in ("dcfst", "tracker_node", "play_sequence_node", "record_node"):
        assert os.access(tmp_path / "bin" / name, os.X_OK)
    check_share(tmp_path)
    check_modules(tmp_path / SITE)
    check_library(tmp_path / SITE, tmp_path)
    environment = {"PYTHONPATH": str(tmp_path / SITE)}
    assert "track" in run([str(tmp_path / "bin" / "dcfst"), "--help"], tmp_path, **environment)


@pytest.mark.ros
def test_colcon_builds_what_ros2_run_and_launch_look_for(sources: Path) -> None:
    pytest.importorskip("colcon_core")
    pytest.importorskip("colcon_ros")
    workspace = sources.parent.parent
    colcon = [sys.executable, "-c", "from colcon_core.command import main; main()"]
    # Without --base-paths colcon would look into every folder for packages.
    run([*colcon, "build", "--base-paths", "src"], workspace, PYTHONDONTWRITEBYTECODE="1")
    prefix = workspace / "install" / "dcfst_ros"
    for name in ("dcfst", "tracker_node", "play_sequence_node", "record_node"):
        assert os.access(prefix / "lib" / "dcfst_ros" / name, os.X_OK)
    check_share(prefix)
    check_modules(prefix / SITE)
    check_library(prefix / SITE, workspace)
    command = [str(prefix / "lib" / "dcfst_ros" / "dcfst"), "--help"]
    assert "track" in run(command, workspace, PYTHONPATH=str(prefix / SITE))
    sourced = "source install/setup.bash; echo $AMENT_PREFIX_PATH; echo $PYTHONPATH"
    ament, python = run(["bash", "-c", sourced], workspace).split()
    assert str(prefix) in ament.split(":") and str(prefix / SITE) in python.split(":")


@pytest.mark.ros
def test_colcon_test_runs_the_tests(sources: Path) -> None:
    pytest.importorskip("colcon_core")
    pytest.importorskip("colcon_ros")
    workspace = sources.parent.parent
    colcon = [sys.executable, "-c", "from colcon_core.command import main; main()"]
    run([*colcon, "build", "--base-paths", "src"], workspace, PYTHONDONTWRITEBYTECODE="1")
    (sources / "test").mkdir(exist_ok=True)
    shutil.copy(ROOT / "conftest.py", sources)
    shutil.copy(ROOT / "test" / "test_interrupts.py", sources / "test")
    run([*colcon, "test", "--base-paths", "src"], workspace)
    report = ElementTree.parse(workspace / "build" / "dcfst_ros" / "pytest.xml").getroot()
    suite = next(report.iter("testsuite"))
    assert int(suite.get("tests", 0)) >= 3
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")


def imported_packages(package: str) -> Iterator[tuple[Path, str]]:
    """Every top-level name that the modules of a package import, with its file."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            for name in names:
                yield path, name.split(".")[0]


def test_imports_go_one_way() -> None:
    """dcfst_ros -> dcfst_core <- dcfst_training; the core needs no ROS."""
    ros = {
        "rclpy",
        "sensor_msgs",
        "vision_msgs",
        "std_msgs",
        "cv_bridge",
        "launch",
        "rcl_interfaces",
    }
    forbidden = {
        "dcfst_core": {"dcfst_ros", "dcfst_training", *ros},
        "dcfst_ros": {"dcfst_training"},
        "training/dcfst_training": {"dcfst_ros", *ros},
    }
    for package, names in forbidden.items():
        wrong = [f"{p}: {name}" for p, name in imported_packages(package) if name in names]
        assert not wrong
    pure = ["frame_buffer", "conversions", "session", "health", "parameters", "recording"]
    pure += ["click_geometry", "prediction"]
    for path, name in imported_packages("dcfst_ros"):
        assert not (path.stem in pure and name == "rclpy"), path


@pytest.mark.ros
@pytest.mark.parametrize(
    "node", ["play_sequence", "record", "click_init", "box_select", "synthetic_camera"]
)
def test_nodes_that_do_not_track_start_without_pytorch(node: str) -> None:
    pytest.importorskip("rclpy")
    pytest.importorskip("vision_msgs")
    code = f"import sys, dcfst_ros.{node}_node; print('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], ROOT).strip() == "False"


@pytest.mark.ros
def test_without_pytorch_the_tracker_node_names_its_python() -> None:
    pytest.importorskip("rclpy")
    pytest.importorskip("vision_msgs")
    hide = (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
        "sys.meta_path.insert(0, Hide())\n"
        "from dcfst_ros.tracker_node import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", hide], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert f"PyTorch cannot be imported by {sys.executable}" in done.stderr
    assert "No module named 'torch'" in done.stderr and "README" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_library_is_loaded_at_first_use_and_complete() -> None:
    code = (
        "import sys, dcfst_core; print('torch' in sys.modules);"
        "print(all(getattr(dcfst_core, name) for name in dcfst_core.__all__));"
        "print(set(dcfst_core.__all__) <= set(dir(dcfst_core)), hasattr(dcfst_core, 'nothing'))"
    )
    assert run([sys.executable, "-c", code], ROOT).split() == ["False", "True", "True", "False"]


def test_package_xml_names_what_the_nodes_import() -> None:
    root = ElementTree.parse(ROOT / "package.xml").getroot()
    assert root.get("format") == "3"
    depends = {e.text for e in root if e.tag in ("depend", "exec_depend")}
    messages = {
        name for _, name in imported_packages("dcfst_ros") if name.endswith(("_msgs", "_srvs"))
    }
    assert messages | {"rclpy"} <= depends


def test_versions_agree() -> None:
    import dcfst_core

    in_xml = ElementTree.parse(ROOT / "package.xml").getroot().findtext("version")
    assert f'version="{in_xml}"' in (ROOT / "setup.py").read_text()
    assert in_xml == dcfst_core.__version__
