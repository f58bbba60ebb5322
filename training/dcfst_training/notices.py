"""Warnings that are given once, by whichever loader process meets the cause first."""

from __future__ import annotations

import hashlib
import logging

import torch

_BITS = 20
# Shared with the loader processes, which are started anew in every epoch.
_given = torch.zeros(2**_BITS, dtype=torch.uint8).share_memory_()


def warn_once(log: logging.Logger, message: str) -> None:
    """Log a warning unless it was given before in this run."""
    digest = hashlib.blake2b(message.encode(), digest_size=4).digest()
    place = int.from_bytes(digest, "little") % 2**_BITS
    if not _given[place]:
        _given[place] = 1
        log.warning("%s", message)
