"""One node in a process of its own, as a user would start it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

STOP_S = 120.0  # unloading a node takes seconds on a busy machine


def ros_arguments(
    parameters: dict[str, Any], remaps: dict[str, str], extra: list[str]
) -> list[str]:
    """Command line arguments as a user would write them."""
    arguments = ["--ros-args", *extra]
    for name, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        quoted = f"'{text}'" if isinstance(value, str) else text
        arguments += ["-p", f"{name}:={quoted}"]
    for old, new in remaps.items():
        arguments += ["-r", f"{old}:={new}"]
    return arguments


class NodeProcess:
    """One node in its own process, with its log in a file."""

    def __init__(self, module: str, arguments: list[str], env: dict[str, str], log: Path) -> None:
        self.log_path = log
        self._log_start = 0
        self._log = open(log, "w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"dcfst_ros.{module}", *arguments],
            env=env,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    @property
    def log(self) -> str:
        """What the node wrote so far, or since `mark_log`."""
        return self.log_path.read_text()[self._log_start :]

    def mark_log(self) -> None:
        """Look only at what is logged from here on."""
        self._log_start = len(self.log_path.read_text())

    def stop(self, with_signal: int = signal.SIGINT) -> int:
        """Signal and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not end within {STOP_S:.0f} s:\n{self.log}") from None
        self._log.close()
        return code
