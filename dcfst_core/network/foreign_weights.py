"""What a weights file is that is no safetensors file, and what can be done with it."""

from __future__ import annotations

import pickle
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dcfst_core.network.model import DCFSTNet

# Keys under which training programs keep the network's tensors.
_NESTED = ("state_dict", "net", "model", "network", "model_state_dict")
_PREFIXES = ("net.", "module.", "model.", "network.")
_UNREADABLE = "a PyTorch checkpoint by its name alone"
_SUFFIXES = (".pth", ".pt", ".tar", ".ckpt", ".bin", ".pkl", ".pth.tar")


def describe_foreign(path: Path) -> str | None:
    """What a PyTorch checkpoint holds and how to convert it, or why not.

    None for a file that is no such checkpoint. Nothing in the file is executed: PyTorch's
    weights-only reader refuses everything but tensors.
    """
    kind = _kind(path)
    if kind is None:
        return None
    head = f"expected a .safetensors file; {path} is {kind}"
    if kind == _UNREADABLE:
        return f"{head}: it is cut short or damaged, so fetch it again"
    try:
        with path.open("rb") as file:  # by its name PyTorch would take it for something else
            held = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, OSError):
        return (
            f"{head} with objects of the program that wrote it, which loading would run: export "
            "its tensors there to safetensors"
        )
    names, own_tensors = _tensor_names(held), set(DCFSTNet().state_dict())
    if not own_tensors <= names:
        first = ", ".join(sorted(names)[:3]) or "none"
        return (
            f"{head}, and cannot be converted: its {len(names)} tensors ({first}, ...) are not "
            f"the {len(own_tensors)} of this network: other implementations have other layers"
        )
    if "hyper_parameters" in held and "state_dict" in held:
        return f"{head} of `dcfst-train`: `dcfst-train export {path} OUT.safetensors` converts it"
    state = f"torch.load({path.name!r}, weights_only=True)"
    if not own_tensors <= set(held):
        state = f"the state dict within {state}, its names without prefix"
    return (
        f"{head} with this network's tensors. To convert it, in Python: net = "
        f"dcfst_core.network.model.DCFSTNet(); net.load_state_dict({state}); "
        'dcfst_core.network.checkpoint.save_model(net, "OUT.safetensors", {})'
    )


def _kind(path: Path) -> str | None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("data.pkl") for name in archive.namelist()):
                return "a PyTorch checkpoint (a zip file with a pickle in it)"
        return "a zip file"
    with path.open("rb") as file:
        start = file.read(2)
    if len(start) == 2 and start[0] == 0x80 and start[1] <= pickle.HIGHEST_PROTOCOL:
        return "a PyTorch checkpoint (a pickle)"
    if tarfile.is_tarfile(path):
        return "a tar file, as PyTorch wrote before 2017"
    if path.name.lower().endswith(_SUFFIXES):
        return _UNREADABLE
    return None


def _tensor_names(held: Any) -> set[str]:
    """Names of the tensors in a checkpoint, without the prefixes that wrappers add."""
    while isinstance(held, Mapping):
        nested = next((held[k] for k in _NESTED if isinstance(held.get(k), Mapping)), None)
        if nested is None:
            break
        held = nested
    if not isinstance(held, Mapping):
        return set()
    names = {str(name) for name, value in held.items() if isinstance(value, torch.Tensor)}
    for prefix in _PREFIXES:
        if names and all(name.startswith(prefix) for name in names):
            names = {name.removeprefix(prefix) for name in names}
    return names
