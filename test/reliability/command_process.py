"""A command in a process of its own, with a fault beside it; no time is lost on imports.

A command is forked (see fork_server.py). Tests about the start itself go a shell's way.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

from fork_server import ForkedProcess

WAIT_S = 120.0  # generous: the first one loads PyTorch, on a machine that may be busy


class CommandProcess:
    """`dcfst ARGUMENTS` (`dcfst-train` where the first is `train`), with its output in a file.

    file_bytes: a file that grows beyond it cannot be written, as on a full disk. memory_bytes:
    what it may take beside what a forked process has. unprivileged: permissions of files count,
    also where the tests run as root, who may read everything.
    """

    def __init__(
        self,
        arguments: list[str],
        log: Path,
        file_bytes: int | None = None,
        memory_bytes: int | None = None,
        unprivileged: bool = False,
    ) -> None:
        self._log = log
        faults = {
            "file_bytes": file_bytes,
            "memory_bytes": memory_bytes,
            "unprivileged": unprivileged,
        }
        self.process = ForkedProcess(log, _run, arguments, faults)

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self._log.read_text() if self._log.exists() else ""

    def wait(self) -> int:
        """The exit code; negative for a signal. Fails when it hangs, or ends with a traceback."""
        try:
            code = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {WAIT_S:.0f} s") from None
        assert "Traceback" not in self.output, self.output
        return code

    def kill(self) -> None:
        """SIGKILL: it cannot clean up."""
        self.process.kill()
        self.process.wait()


def _run(arguments: list[str], faults: dict[str, Any]) -> int:
    """In the child: inject the fault, run the command."""
    import torch

    torch.set_num_threads(1)
    if faults["file_bytes"] is not None:
        _limit(resource.RLIMIT_FSIZE, faults["file_bytes"])
    if faults["memory_bytes"] is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + faults["memory_bytes"])
    if faults["unprivileged"]:
        _drop_privileges()
    return _main(arguments)


def _main(arguments: list[str]) -> int:
    if arguments[0] == "train":
        from dcfst_training.cli import main as train

        train(arguments[1:])
        return 0
    from dcfst_core.cli.main import main

    return main(arguments)


def _drop_privileges() -> None:
    """Give up all capabilities (capset, version 3), among them that to read what is locked."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    done = ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)())
    assert done == 0, os.strerror(ctypes.get_errno())


def _limit(what: int, most: int) -> None:
    resource.setrlimit(what, (most, resource.getrlimit(what)[1]))
