"""What a process holds of the machine: memory, threads, files, shared memory."""

from __future__ import annotations

import contextlib
import os
import resource
from dataclasses import dataclass
from pathlib import Path

SHM = Path("/dev/shm")


@dataclass(frozen=True)
class Held:
    """`rss_mb`: resident memory. `shm_mb`: size of the files in /dev/shm that it has mapped."""

    rss_mb: float
    threads: int
    files: int
    shm_mb: float


def held_by(pid: int) -> Held:
    """Look at a running process."""
    process = Path(f"/proc/{pid}")
    lines = (process / "status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    mapped = {line.split()[-1] for line in (process / "maps").read_text().splitlines()}
    shared = 0
    for name in mapped:
        if name.startswith(str(SHM)):
            with contextlib.suppress(OSError):
                shared += os.stat(name).st_size
    return Held(
        rss_mb=int(fields["VmRSS"].split()[0]) / 1024,
        threads=int(fields["Threads"]),
        files=len(list((process / "fd").iterdir())),
        shm_mb=shared / 2**20,
    )


def limit_memory(pid: int, extra_bytes: int | None) -> None:
    """Let a running process map so much more from now on; None takes the limit away."""
    infinity = resource.RLIM_INFINITY
    most = infinity
    if extra_bytes is not None:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + extra_bytes
    resource.prlimit(pid, resource.RLIMIT_AS, (most, infinity))
