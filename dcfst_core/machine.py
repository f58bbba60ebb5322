"""What a measurement was made on: processor, GPU, memory, versions."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import cv2
import numpy as np
import torch


def describe_machine() -> dict[str, str | int]:
    """Return names and versions that a benchmark or bug report should carry."""
    facts: dict[str, str | int] = {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "cpu": _cpu_name(),
        "cpu cores": available_cores(),
        "torch threads": torch.get_num_threads(),
    }
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory_gib = properties.total_memory / 2**30
        facts[f"cuda:{index}"] = f"{properties.name}, {memory_gib:.0f} GiB"
    if torch.version.cuda is not None:
        facts["cuda of torch"] = torch.version.cuda
    return facts


def available_cores() -> int:
    """Number of CPU cores this process may use; a container can make them fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resident_memory_mib() -> tuple[float, float]:
    """Return the process's resident memory now and at its peak, in MiB; NaN where unknown."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return float("nan"), float("nan")
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    now, peak = (float(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
