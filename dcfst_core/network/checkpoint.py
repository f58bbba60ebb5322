"""Weights on disk: one safetensors file and, beside it, JSON metadata. Never pickle."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from dcfst_core.errors import CheckpointError
from dcfst_core.network.foreign_weights import describe_foreign
from dcfst_core.network.hub import locate_weights, metadata_path
from dcfst_core.network.model import Architecture, DCFSTNet, tensor_shapes

WEIGHTS_NAME = "dcfst_resnet18.safetensors"
MAX_DIMENSIONS = 16384
MOST_METADATA_BYTES = 2**20
# What the JSON beside the weights tells; further fields are kept and not looked at.
_FIELDS: dict[str, type] = {
    "architecture": dict,
    "name": str,
    "note": str,
    "steps": int,
    "epoch": int,
    "exported": str,
    "settings": dict,
    "averaged_with": list,
}


def default_weights_path() -> Path:
    """The weights that come with the package, whichever way it was installed."""
    return Path(str(files("dcfst_core"))) / "weights" / WEIGHTS_NAME


def save_model(
    model: DCFSTNet,
    path: str | Path,
    metadata: dict[str, Any],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write `path` (.safetensors) and the JSON file beside it.

    Floating-point tensors are stored as `dtype`; the statistics of the normalisation layers, which
    half precision can overflow, stay float32.
    """
    path = Path(path)
    tensors = {}
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and "running_" not in name:
            tensor = tensor.to(dtype)
        tensors[name] = tensor.detach().cpu().contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, str(path))
    described = {**metadata, "architecture": vars(model.architecture)}
    path.with_suffix(".json").write_text(json.dumps(described, indent=2) + "\n")


def load_model(
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
    revision: str | None = None,
) -> DCFSTNet:
    """Load a network for inference, in float32.

    `weights`: a .safetensors file with its .json beside it, or what `hub.locate_weights` knows;
    None takes the packaged one. Raises CheckpointError when a file is missing, damaged, or does
    not fit the network.
    """
    path = locate_weights(default_weights_path() if weights is None else weights, revision)
    _check_kind(path)
    metadata = _read_metadata(path)
    architecture = _architecture(metadata, path)
    try:
        _check_shapes(path, architecture)
        tensors = load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"expected safetensors weights in {path}; the file cannot be read ({error}): "
            "it is cut short or damaged, so fetch or export it again"
        ) from error
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"expected finite weights in {path}; {name} holds NaN or Inf")
    model = DCFSTNet(architecture)
    model.load_state_dict(tensors)
    model.metadata = metadata
    return model.to(device).eval()


def _check_kind(path: Path) -> None:
    """Refuse what is no file, and what is a checkpoint of another format, with the way out."""
    if not path.is_file():
        raise CheckpointError(
            f"expected a weights file at {path}; there is none. Give the path of a .safetensors "
            "file, or reinstall the package to get the one it ships with"
        )
    foreign = describe_foreign(path)
    if foreign is not None:
        raise CheckpointError(foreign)


def _read_metadata(path: Path) -> dict[str, Any]:
    described = metadata_path(path)
    if not described.is_file():
        raise CheckpointError(f"expected {described.name} beside {path}; copy both files together")
    try:
        if described.stat().st_size > MOST_METADATA_BYTES:
            raise ValueError(f"more than {MOST_METADATA_BYTES >> 20} MiB of it")
        metadata = json.loads(described.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"expected JSON in {described}; got: {error}") from error
    if not isinstance(metadata, dict):
        raise CheckpointError(f"expected a JSON object in {described}; got {type(metadata)}")
    for name, kind in _FIELDS.items():
        value = metadata.get(name)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise CheckpointError(
                f"expected {name} to be of type {kind.__name__} in {described}; got {value!r}"
            )
    return metadata


def _architecture(metadata: dict[str, Any], path: Path) -> Architecture:
    given = metadata.get("architecture") or {}
    known = {field.name for field in fields(Architecture)}
    if not set(given) <= known:
        raise CheckpointError(
            f"expected architecture fields among {sorted(known)} in the JSON beside {path}; "
            f"got {given!r}"
        )
    architecture = Architecture(**given)
    dimensions, residual = architecture.dimensions, architecture.residual
    whole = isinstance(dimensions, int) and not isinstance(dimensions, bool)
    if not whole or not 1 <= dimensions <= MAX_DIMENSIONS:
        raise CheckpointError(
            f"expected architecture dimensions, a whole number from 1 to {MAX_DIMENSIONS}, in the "
            f"JSON beside {path}; got {dimensions!r}"
        )
    if not isinstance(residual, bool):
        raise CheckpointError(
            f"expected architecture residual, true or false, in the JSON beside {path}; got "
            f"{residual!r}"
        )
    return architecture


def _check_shapes(path: Path, architecture: Architecture) -> None:
    """By the file's header alone, before memory is given to any tensor."""
    wanted = tensor_shapes(architecture)
    with safe_open(str(path), "pt") as file:
        held = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    missing, unknown = sorted(set(wanted) - set(held)), sorted(set(held) - set(wanted))
    if missing or unknown:
        raise CheckpointError(
            f"expected the {len(wanted)} tensors of DCFSTNet in {path}; {len(missing)} are "
            f"missing (first: {missing[:3]}) and {len(unknown)} are unknown "
            f"(first: {unknown[:3]}): these are weights of another network"
        )
    for name, shape in wanted.items():
        if held[name] != shape:
            raise CheckpointError(f"expected {name} of shape {shape} in {path}; got {held[name]}")
