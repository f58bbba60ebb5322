"""One node in a process of its own, forked or as a user would start it."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from fork_server import ForkedProcess

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
    """One node in its own process, with its log in a file.

    from_shell: a new interpreter that loads PyTorch itself, for what is about the start or the
    memory of a whole process.
    """

    process: ForkedProcess | subprocess.Popen[bytes]

    def __init__(
        self,
        module: str,
        arguments: list[str],
        env: dict[str, str],
        log: Path,
        from_shell: bool = False,
    ) -> None:
        self.log_path = log
        self._log_start = 0
        log.touch()
        name = f"dcfst_ros.{module}"
        if not from_shell:
            self.process = ForkedProcess(log, _run_node, name, arguments, env)
            return
        with open(log, "w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", name, *arguments],
                env=env,
                stdout=file,
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
        return code


def _run_node(name: str, arguments: list[str], env: dict[str, str]) -> int:
    """In the child: `python -m NAME ARGUMENTS`."""
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
    return 0
