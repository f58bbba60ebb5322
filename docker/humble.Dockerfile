# docker build -f docker/humble.Dockerfile -t dcfst_ros:humble .
# docker run --rm --net=host --shm-size=1g dcfst_ros:humble image_topic:=/camera/image_raw
# With a GPU: --gpus all, and --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126
FROM ros:humble-ros-base

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# Versions are those of the base image's ROS release.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends \
        python3-venv python3-colcon-common-extensions \
        ros-humble-cv-bridge ros-humble-vision-msgs ros-humble-tf2-geometry-msgs \
    && rm -rf /var/lib/apt/lists/*

# The venv sees ROS's own Python packages; colcon is run by its Python, so that the nodes use it.
# NumPy below 2: this release's cv_bridge is compiled for it.
RUN python3 -m venv --system-site-packages /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir "torch>=2.6,<3" "torchvision>=0.21,<1" \
        "numpy>=1.26,<2" --extra-index-url "${TORCH_INDEX}" \
    && /opt/venv/bin/pip install --no-cache-dir "numpy>=1.26,<2" "av>=17,<20" \
        "opencv-python-headless>=4.8,<4.12" "safetensors>=0.4,<1" "tqdm>=4.60,<5" \
        "rosbags>=0.11,<1" "lz4>=4,<5" "backports.zstd>=1,<2" "pillow>=9.1"

WORKDIR /ws
COPY . src/dcfst_ros
RUN source /opt/ros/humble/setup.bash \
    && /opt/venv/bin/python -m colcon build --packages-select dcfst_ros \
    && useradd --create-home --uid 10001 tracker

USER 10001
ENTRYPOINT ["/bin/bash", "-c", "source /opt/ros/humble/setup.bash && source /ws/install/setup.bash && exec ros2 launch dcfst_ros tracker.launch.py \"$@\"", "--"]
