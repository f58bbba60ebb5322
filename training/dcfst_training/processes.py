"""Loader processes: one thread each, and gone when the process that they work for is."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

import cv2

_PR_SET_PDEATHSIG = 1


def begin_worker(worker: int) -> None:
    """Begin a loader process, as DataLoader's `worker_init_fn`.

    There are many, so OpenCV's own threads would only disturb them. A kill of the parent ends it
    on Linux: waiting for room in the queue, it would otherwise outlive the parent for ever.
    """
    cv2.setNumThreads(0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:  # it ended before it was watched
            os._exit(1)
