"""The errors this library raises on purpose: what was expected, what came, what to do."""

from __future__ import annotations


class DCFSTError(Exception):
    """Base of all errors raised on purpose by dcfst_core; catch it to catch them all."""


class BoxError(DCFSTError, ValueError):
    """A target box that cannot be tracked: not four finite numbers, empty, or off the image."""


class FrameError(DCFSTError, ValueError):
    """An image that is not an 8-bit frame of a supported shape."""


class TargetError(DCFSTError, RuntimeError):
    """A target that is not held, or not one where one is expected."""


class CheckpointError(DCFSTError, RuntimeError):
    """A weights file that is missing, damaged, or of another network."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, OpenCV or PyTorch (CPU or device) says: no memory left."""
    # The last one is what oneDNN says, whatever kept it from making what it works with.
    says = (
        *("t allocate memory", "cannot allocate memory", "out of memory", "insufficient memory"),
        "could not create a primitive",
    )
    return isinstance(error, MemoryError) or any(text in str(error).lower() for text in says)


class SolverError(DCFSTError, RuntimeError):
    """A ridge system that could not be factorised even with added jitter."""
