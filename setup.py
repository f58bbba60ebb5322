"""Install the tracker library `dcfst_core` and the ROS 2 nodes `dcfst_ros` as one package."""

from __future__ import annotations

from glob import glob

from setuptools import find_packages, setup

NAME = "dcfst_ros"

setup(
    name=NAME,
    version="0.1.0",
    description="DCFST visual object tracker for ROS 2: one box in, a track out.",
    long_description="A class-agnostic single-object visual tracker for robots, after DCFST "
    "(arXiv 1906.10414): a plain Python library and a ROS 2 node around it. See README.md.",
    license="Apache-2.0",
    maintainer="dcfst_ros maintainers",
    maintainer_email="maintainers@users.noreply.r-seed-f11befb7.example",
    packages=find_packages(include=["dcfst_core", "dcfst_core.*", "dcfst_ros", "dcfst_ros.*"]),
    package_data={
        "dcfst_core": ["py.typed", "weights/*.safetensors", "weights/*.json", "weights/*.md"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.launch.*"))),
        (f"share/{NAME}/config", sorted(glob("config/*"))),
    ],
    python_requires=">=3.10",
    install_requires=[
        "av>=17",
        "backports.zstd>=1; python_version < '3.14'",
        "lz4>=4",
        "numpy>=1.26",
        "opencv-python>=4.8",
        "pillow>=9.1",
        "pyyaml>=6",
        "rosbags>=0.11",
        "safetensors>=0.4",
        "torch>=2.2",
        "torchvision>=0.17",
        "tqdm>=4.60",
    ],
    extras_require={
        "eval": ["matplotlib>=3.8", "optuna>=4"],
        "hub": ["huggingface_hub>=0.24"],
        # PyTorch's exporter, which writes ONNX by way of onnxscript, is that of 2.6.
        "onnx": ["onnx>=1.16", "onnxruntime>=1.17", "onnxscript>=0.2", "torch>=2.6"],
        # The releases it was tried with; nncf quantises, which only `dcfst export --int8` needs.
        "openvino": ["openvino>=2026.4", "nncf>=3.4"],
        "docs": ["mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.27,<2"],
        # This name and pytest in it is how colcon knows that `colcon test` is to run pytest.
        "test": ["pytest", "pytest-timeout"],
        # rosbags-image: an independent converter to compare image conversions with.
        "dev": [
            *("rosbags-image>=0.9", "imageio-ffmpeg>=0.5"),
            *("pytest>=8", "pytest-timeout>=2.3", "pytest-xdist>=3.7"),
            "hypothesis>=6.100",
            *("coverage>=7.10", "pytest-cov>=6"),
            *("ruff", "mypy", "import-linter>=2.6", "pre-commit"),
        ],
    },
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "dcfst = dcfst_core.cli.main:main",
            "tracker_node = dcfst_ros.tracker_node:main",
            "play_sequence_node = dcfst_ros.play_sequence_node:main",
            "record_node = dcfst_ros.record_node:main",
            "click_init_node = dcfst_ros.click_init_node:main",
            "box_select_node = dcfst_ros.box_select_node:main",
            "synthetic_camera_node = dcfst_ros.synthetic_camera_node:main",
            "sros2_policy = dcfst_ros.sros2_policy:main",
        ],
        "dcfst.commands": ["bench.ros = dcfst_ros.bench_command:add_command"],
    },
)
