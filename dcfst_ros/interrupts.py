"""Signals before a node runs and after it: no traceback of imports, no wait for the unloading.

Imports nothing heavy: it is what a node's module imports first.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn


def end_quietly_on_signals() -> None:
    """From now on Ctrl-C and SIGTERM end the process at once.

    `restore_signals` gives them back to Python, and ROS takes them from there.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)


def restore_signals() -> None:
    """Signals as Python has them at its start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end_process(code: int) -> NoReturn:
    """End now, with what was written written.

    Python would unload PyTorch and join its threads, which takes seconds on a busy machine and
    frees nothing that the system does not free.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end(number: int, frame: object) -> None:
    end_process(128 + number)
