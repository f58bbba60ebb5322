"""From a weights file and a device's name to a tracker that is ready."""

from __future__ import annotations

from pathlib import Path

import torch

from dcfst_core.network.checkpoint import load_model
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.tracker import Tracker


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """`auto` is the first CUDA device if torch can use one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(
            f"expected a CUDA device for device={device!r}; torch {torch.__version__} sees none: "
            "check the driver (nvidia-smi), or use device='cpu'"
        )
    return chosen


def load_tracker(
    weights: str | Path | None = None,
    config: TrackerConfig | None = None,
    device: str | torch.device = "auto",
    revision: str | None = None,
) -> Tracker:
    """A tracker ready for `init`.

    `weights`: a .safetensors file, a folder in the Hub's layout, or the name of a repository on
    the Hugging Face Hub (`owner/name`), of which `revision` is a branch, tag or commit; None takes
    the ones that come with the package. `device`: `auto`, `cpu`, `cuda`, `cuda:1`, ... Raises
    CheckpointError for bad weights.
    """
    chosen = choose_device(device)
    return Tracker(load_model(weights, revision=revision), config, chosen)
