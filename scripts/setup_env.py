#!/usr/bin/env python3
"""Make .venv in this checkout: PyTorch, ROS 2 Jazzy from wheels, vision_msgs, and this package.

    python3 scripts/setup_env.py             everything, with training and the test tools
    python3 scripts/setup_env.py --run-only  what the tracker, the nodes and the demo need
    python3 scripts/setup_env.py --locked    only the releases in scripts/locks, checked by hash

Nothing is written outside the checkout but pip's own cache. A second run skips what is done, so
it takes seconds; an interrupted run goes on where it stopped. To choose, set in the environment:

    DCFST_PYTHON       the Python (3.10 to 3.13) to build on, not the first suitable one found
    DCFST_TORCH        other PyTorch, e.g. "torch==2.8.0+cu126 torchvision==0.23.0+cu126"
    DCFST_TORCH_INDEX  the index it comes from, e.g. https://download.pytorch.org/whl/cu126
    DCFST_LOCKED       1 is --locked, for make: DCFST_LOCKED=1 make demo
"""

# This file must run on any Python from 3.6 on, to be able to say that it is the wrong one.
import argparse
import fcntl
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

from setup_checks import (
    SetupError,
    check_compiler,
    check_disk,
    check_platform,
    describe_python,
    diagnose,
    find_python,
)
from setup_pip import (
    ROOT,
    VENV,
    VENV_PYTHON,
    imports,
    install_editable,
    install_locked,
    is_locked,
    pip_install,
    run,
)

STAMPS = os.path.join(VENV, ".setup_done.json")
ROS_ENV = os.path.join(ROOT, "scripts", "ros_env")

TORCH = "torch==2.14.1 torchvision==0.29.1"
PACKAGE_DEPENDENCIES = [
    "av>=17",
    "backports.zstd>=1; python_version < '3.14'",
    "lz4>=4",
    "numpy>=1.26",
    "pillow>=9.1",
    "pyyaml",
    "rosbags>=0.11",
    "safetensors>=0.4",
    "tqdm>=4.60",
]
EXTRAS = ["rosbags-image>=0.9", "matplotlib>=3.8", "optuna>=4", "setuptools>=64"]
TEST_TOOLS = [
    "coverage>=7.10",
    "hypothesis>=6.100",
    "pytest-cov>=6",
    "huggingface_hub>=0.24",
    "onnx>=1.16",
    "onnxruntime>=1.17",
    "onnxscript>=0.2",
    "imageio-ffmpeg>=0.5",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.7",
    "ruff>=0.6",
    "mypy>=1.11",
    "types-PyYAML",
    "import-linter>=2.6",
    "colcon-core",
    "colcon-ros",
    "colcon-python-setup-py",
    "colcon-bash",
]


def make_venv(python):
    """Create .venv, or keep one that works and was made at this place."""
    probe = [VENV_PYTHON, "-c", "import pip, sys; print(sys.prefix)"]
    if os.path.exists(VENV_PYTHON):
        try:
            prefix = subprocess.check_output(probe, stderr=subprocess.DEVNULL).decode().strip()
        except (OSError, subprocess.CalledProcessError):
            prefix = ""
        if os.path.realpath(prefix or "/") == os.path.realpath(VENV):
            return
        print("      .venv does not work here (moved or half made): making it anew")
    run([python, "-m", "venv", "--clear", VENV])


def install_torch():
    """torch and torchvision only work as a matching pair, so they come in one command."""
    if is_locked():
        install_locked(lambda name: "opencv" not in name)
        return
    index = os.environ.get("DCFST_TORCH_INDEX")
    pip_install(
        *(os.environ.get("DCFST_TORCH") or TORCH).split(),
        *(["--index-url", index] if index else []),
    )


def install_one(opencv):
    """One of OpenCV's two wheels, which overwrite each other."""
    if is_locked():
        install_locked(lambda name: name == opencv)
    else:
        pip_install(opencv + ">=4.8")


def install_opencv():
    """OpenCV with windows where the machine has the libraries for it, else without."""
    if imports("cv2"):
        return
    install_one("opencv-python")
    if imports("cv2"):
        return
    print(
        "      opencv-python does not import here (usually libGL or libglib is missing):\n"
        "      installing opencv-python-headless. Only windows are lost (box_select_node);\n"
        "      to get them: apt install libgl1 libglib2.0-0, remove .venv, run this again."
    )
    run([VENV_PYTHON, "-m", "pip", "uninstall", "-y", "opencv-python"])
    install_one("opencv-python-headless")
    if not imports("cv2"):
        raise SetupError(
            "neither opencv-python nor opencv-python-headless can be imported: "
            f"{VENV_PYTHON} -c 'import cv2' shows why"
        )


def install_ros():
    """ROS 2 Jazzy's rclpy and messages."""
    pip_install("-r", os.path.join(ROS_ENV, "requirements.txt"))
    if not imports("rclpy"):
        raise SetupError(
            "rclpy is installed but cannot be imported: "
            f"{VENV_PYTHON} -c 'import rclpy' shows why. The wheels need glibc 2.28 or newer."
        )


def build_vision_msgs():
    """Generate and compile vision_msgs with ROS's own generators, into the environment."""
    pip_install(
        "-r",
        os.path.join(ROS_ENV, "requirements.txt"),
        "-r",
        os.path.join(ROS_ENV, "requirements-build.txt"),
    )
    build = os.path.join(VENV, "build", "vision_msgs")
    shutil.rmtree(build, ignore_errors=True)
    cmake_files = os.path.join(ROS_ENV, "cmake")
    # A sourced ROS install must not mix its CMake files in.
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "COLCON_PREFIX_PATH")}
    env.update(
        AMENT_PREFIX_PATH=VENV,
        CMAKE_PREFIX_PATH=VENV,
        PATH=os.path.join(VENV, "bin") + os.pathsep + os.environ.get("PATH", ""),
    )
    cmake = os.path.join(VENV, "bin", "cmake")
    run(
        [
            cmake,
            "-S",
            os.path.join(ROS_ENV, "vision_msgs"),
            "-B",
            build,
            "-DCMAKE_BUILD_TYPE=Release",
            "-DBUILD_TESTING=OFF",
            "-DCMAKE_INSTALL_PREFIX=" + VENV,
            "-DPython3_EXECUTABLE=" + VENV_PYTHON,
            "-DROS_WHEELS_PREFIX=" + VENV,
            "-Drosidl_core_generators_DIR=" + cmake_files,
            "-Dament_cmake_ros_DIR=" + cmake_files,
            "-DCMAKE_PROJECT_vision_msgs_INCLUDE=" + cmake_files + "/wheel_targets.cmake",
        ],
        env=env,
    )
    run([cmake, "--build", build, "--parallel", str(os.cpu_count() or 2)], env=env)
    run([cmake, "--install", build], env=env)
    if not imports("vision_msgs.msg"):
        raise SetupError(
            "vision_msgs was built but cannot be imported: "
            f"{VENV_PYTHON} -c 'import vision_msgs.msg' shows why"
        )
    shutil.rmtree(build, ignore_errors=True)


def install_package():
    """This package, editable. OpenCV and PyTorch were chosen above, hence no dependencies here."""
    pip_install(*PACKAGE_DEPENDENCIES, *EXTRAS)
    install_editable(ROOT)


def install_development():
    """The offline training package and the tools that `make test` runs."""
    pip_install(*TEST_TOOLS)
    training = os.path.join(ROOT, "training")
    if not os.path.exists(os.path.join(training, "pyproject.toml")):
        return
    install_editable(training)
    # Its dependencies but OpenCV, which was chosen above: two OpenCV wheels overwrite each other.
    code = "import importlib.metadata as m; print('\\n'.join(m.requires('dcfst_training') or []))"
    wanted = subprocess.check_output([VENV_PYTHON, "-c", code], cwd=VENV).decode().splitlines()
    pip_install(*(name for name in wanted if "opencv" not in name and ";" not in name))


def digest(*parts):
    """A short key over strings and the contents of files: the step runs again when it changes."""
    key = hashlib.sha256()
    for part in parts:
        if os.path.isfile(part):
            with open(part, "rb") as file:
                key.update(file.read())
        key.update(part.encode())
    return key.hexdigest()[:16]


def plan(python, version):
    """The steps in order: name, message, key of its inputs, action."""

    def files(*patterns):
        found = [path for pattern in patterns for path in glob.glob(os.path.join(ROOT, pattern))]
        return sorted(path for path in found if os.path.isfile(path))

    torch = os.environ.get("DCFST_TORCH") or TORCH
    base = ".".join(map(str, version[:2])) + (" locked" if is_locked() else "")
    requirements = os.path.join(ROS_ENV, "requirements.txt")
    return [
        (
            "venv",
            "virtual environment on Python " + ".".join(map(str, version[:2])),
            digest(base),
            lambda: make_venv(python),
        ),
        (
            "torch",
            f"PyTorch: {torch} (the largest part, minutes)",
            digest(base, torch, os.environ.get("DCFST_TORCH_INDEX", "")),
            install_torch,
        ),
        ("opencv", "OpenCV", digest(base), install_opencv),
        ("ros", "ROS 2 Jazzy: rclpy and messages", digest(base, requirements), install_ros),
        (
            "vision_msgs",
            "vision_msgs, generated and compiled (half a minute)",
            digest(base, *files(*("scripts/ros_env/" + p for p in ("*.txt", "*/*", "*/*/*")))),
            build_vision_msgs,
        ),
        (
            "package",
            "dcfst_ros and dcfst_core (editable)",
            digest(
                base,
                *PACKAGE_DEPENDENCIES
                + EXTRAS
                + files("setup.py", "setup.cfg", "package.xml", "launch/*", "config/*"),
            ),
            install_package,
        ),
        (
            "development",
            "training package and test tools",
            digest(base, *TEST_TOOLS + files("training/pyproject.toml")),
            install_development,
        ),
    ]


def set_up(run_only):
    """Run the steps that are not done; a step whose inputs changed is done again."""
    check_platform()
    os.makedirs(VENV, exist_ok=True)
    lock = os.open(ROOT, os.O_RDONLY)  # the checkout itself is the lock; held until we end
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("another set-up is running in this checkout: waiting for it", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    done = read_stamps()
    python, version = kept_python(done) or find_python()
    steps = [step for step in plan(python, version) if not (run_only and step[0] == "development")]
    todo = [step for step in steps if done.get(step[0]) != step[2]]
    names = [step[0] for step in todo]
    if "vision_msgs" in names:
        check_compiler()
    if "torch" in names and not imports("torch"):
        check_disk(ROOT)
    began = time.time()
    for number, (name, message, key, action) in enumerate(steps, start=1):
        if done.get(name) == key:
            continue
        print(f"[{number}/{len(steps)}] {message}", flush=True)
        started = time.time()
        try:
            action()
        except SetupError as error:
            raise SetupError(f"step '{name}' failed: {error}") from None
        done = dict({} if name == "venv" else read_stamps(), **{name: key, "python": python})
        with open(STAMPS, "w") as file:
            json.dump(done, file, indent=1)
        print(f"      done in {time.time() - started:.0f} s", flush=True)
    if todo:
        print(f"environment ready in {time.time() - began:.0f} s: {VENV}", flush=True)
    else:
        print(f"environment ready (nothing to do): {VENV}", flush=True)


def read_stamps():
    """What earlier runs finished; nothing when the environment is gone."""
    try:
        with open(STAMPS) as file:
            return json.load(file) if os.path.exists(VENV_PYTHON) else {}
    except (OSError, ValueError):
        return {}


def kept_python(done):
    """The interpreter of the existing environment, so that a second run never changes it."""
    if os.environ.get("DCFST_PYTHON") or not os.path.exists(VENV_PYTHON):
        return None
    version, reason = describe_python(VENV_PYTHON)
    return (done.get("python", VENV_PYTHON), version) if reason is None else None


def main():
    """Parse, set up, and end with one clear message."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--run-only", action="store_true", help="leave out the training package and the test tools"
    )
    parser.add_argument(
        "--locked", action="store_true", help="take only what scripts/locks names, checked by hash"
    )
    arguments = parser.parse_args()
    if arguments.locked:
        os.environ["DCFST_LOCKED"] = "1"
    try:
        set_up(arguments.run_only)
    except SetupError as error:
        print(f"\nset-up stopped: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk or a read-only checkout, met by this script itself
        print(f"\nset-up stopped: {error} ({diagnose(str(error))})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up interrupted; run it again to go on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
