"""The machine: processor, GPU, memory, versions; and giving memory back to it."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import sys
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


def give_back_freed_memory() -> None:
    """Hand what was freed of the host's memory to the system, instead of keeping it for later.

    A process that drops a network otherwise stays up to 120 MB larger than it has to be: glibc
    keeps freed pages of each thread's arena. Takes a tenth of a second; not for every frame.
    """
    gc.collect()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):  # musl has none
            libc.malloc_trim(0)


def has_fast_bfloat16(facts: dict[str, str] | None = None) -> bool:
    """Whether convolutions in bfloat16 take less time than in float32 on this processor.

    They do with AMX, and with AVX-512's instructions alone on AMD; on an Intel Xeon without AMX
    the trunk took 1.6 times float32's time. A rule and not a trial: all runs on one machine have
    to give the same boxes. `facts`: of another processor, as /proc/cpuinfo names them.
    """
    facts = _cpu_facts() if facts is None else facts
    flags = facts.get("flags", "").split()
    amd = facts.get("vendor_id") == "AuthenticAMD"
    return "amx_bf16" in flags or ("avx512_bf16" in flags and amd)


def has_fast_int8(facts: dict[str, str] | None = None) -> bool:
    """Whether this processor multiplies and adds bytes in one instruction: x86 with VNNI or AMX.

    `facts`: as for `has_fast_bfloat16`. Other processors have not been measured.
    """
    facts = _cpu_facts() if facts is None else facts
    return bool({"avx512_vnni", "avx_vnni", "amx_int8"} & set(facts.get("flags", "").split()))


def _cpu_name() -> str:
    return _cpu_facts().get("model name") or platform.processor() or "unknown"


def _cpu_facts() -> dict[str, str]:
    """What Linux says of the first processor; nothing elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return {}
    first = cpuinfo.read_text().split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
