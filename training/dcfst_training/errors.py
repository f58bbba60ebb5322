"""The errors that a person can mend: the command line shows them without a traceback."""

from __future__ import annotations

from dcfst_core.errors import DCFSTError


class SettingsError(DCFSTError, ValueError):
    """Settings, data or weights that do not fit together."""


class DivergedError(DCFSTError, FloatingPointError):
    """A loss or weights that are not finite."""


class WriteError(DCFSTError, OSError):
    """Results that cannot be written."""
