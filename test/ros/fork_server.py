"""Processes forked from one that has loaded PyTorch and rclpy, so that no test waits for that.

Python's fork server loads them once. What is forked from there is as real as what a shell starts,
but for the seconds that loading takes; tests about the start itself go a shell's way.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

context = multiprocessing.get_context("forkserver")
# What is not installed is passed over.
context.set_forkserver_preload(
    ["torch", "dcfst_core.cli.main", "dcfst_training.pack", "dcfst_ros.tracker_lifecycle"]
)


class ForkedProcess:
    """`main(*arguments)` in a process of its own; the interface is that of `subprocess.Popen`."""

    def __init__(self, log: Path, main: Callable[..., int], *arguments: object) -> None:
        made = context.Process(target=_run, args=(str(log), main, arguments), daemon=True)
        made.start()
        assert made.pid is not None
        self.pid, self._process = made.pid, made

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same, by Popen's other name."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Nothing happens to a process that has ended: its number may be another's by now."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL: it cannot clean up."""
        self._process.kill()


def _run(log: str, main: Callable[..., int], arguments: tuple[object, ...]) -> None:
    """In the child: redirect the output, run, end as an interpreter would."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
    for number in (1, 2):
        os.dup2(out, number)
    sys.stdout = os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1)
    try:
        code = main(*arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
