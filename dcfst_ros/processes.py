"""Nodes in processes of their own, apart from other ROS systems, for demo and benchmark."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

from dcfst_ros.compatibility import discovery_on_this_machine
from dcfst_ros.fast_dds import PROFILE_CHOICE, use_image_profile

STOP_TIMEOUT_S = 60.0


def private_environment(use_profile: bool = True) -> dict[str, str]:
    """A ROS domain of its own on this machine, so that no robot nearby is disturbed.

    `use_profile`: let Fast DDS have room for images, unless the user has a profile already.
    """
    env = dict(os.environ)
    env.setdefault("ROS_DOMAIN_ID", str(random.randint(1, 100)))
    for name, value in discovery_on_this_machine().items():
        env.setdefault(name, value)
    if use_profile:
        use_image_profile(env)
    else:
        env[PROFILE_CHOICE] = "none"
    return env


def start(
    module: str, parameters: dict[str, object], env: dict[str, str], output: TextIO | None
) -> subprocess.Popen[bytes]:
    """Start one node in its own process."""
    command = [sys.executable, "-m", f"dcfst_ros.{module}", "--ros-args"]
    for name, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        # Quotes keep "404,52,110,200" and file names like 1.0 strings.
        command += ["-p", f"{name}:='{text}'" if isinstance(value, str) else f"{name}:={text}"]
    stderr = subprocess.STDOUT if output is not None else None
    return subprocess.Popen(command, env=env, stdout=output, stderr=stderr)


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask a node to end as Ctrl-C does, and wait for it."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def remove_stale_shared_memory(folder: Path = Path("/dev/shm"), older_than_s: float = 60.0) -> int:
    """Remove what killed ROS processes left of Fast DDS's shared memory; returns how many files.

    A process that is killed cannot clean up, and whoever gets its ports later may lose messages.
    Files that any process still has open or mapped are left alone, and so are new ones.
    """
    files = [*folder.glob("fastrtps_*"), *folder.glob("sem.fastrtps_*")]
    used = _files_in_use() if files else set()
    removed = 0
    for path in files:
        with contextlib.suppress(OSError):
            if str(path) not in used and time.time() - path.stat().st_mtime > older_than_s:
                path.unlink()
                removed += 1
    return removed


def _files_in_use() -> set[str]:
    """Files that the processes which may be looked at have open or mapped."""
    used: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for link in (process / "fd").iterdir():
                with contextlib.suppress(OSError):  # closed meanwhile
                    used.add(os.readlink(link))
        with contextlib.suppress(OSError):
            used |= {line.split()[-1] for line in (process / "maps").read_text().splitlines()}
    return used
