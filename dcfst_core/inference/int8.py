"""The convolutions in eight bits, computed by OpenVINO from a file that was calibrated before.

`quantise.write_int8` makes such a file: a zip of one OpenVINO model for each part (trunk, head,
the IoU predictor's features) and of `int8.json`, which says what weights and patches it is for.
A processor needs VNNI or AMX: without, sums of eight-bit products may overflow, and nothing is
won.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dcfst_core.errors import DCFSTError
from dcfst_core.inference.machine import has_fast_int8
from dcfst_core.network.embedding import Features
from dcfst_core.network.model import DCFSTNet, weights_digest

log = logging.getLogger(__name__)

PARTS = ("trunk", "head", "iou")
FACTS = "int8.json"
FORMAT = 1
_MOST_BYTES = 2**26  # of each member; the largest has 3 MB


class Int8Error(DCFSTError, RuntimeError):
    """A file of eight-bit convolutions that cannot be made, read, or used with these weights."""


@dataclass(frozen=True)
class Int8Facts:
    """What a file says of itself.

    weights: digest of the network's; patch_size: px; crops: so many it was calibrated on;
    versions: of OpenVINO and NNCF.
    """

    weights: str
    patch_size: int
    crops: int
    versions: str
    format: int = FORMAT

    def to_json(self) -> str:
        """As it stands in the file."""
        return json.dumps(asdict(self), indent=2) + "\n"


class Int8Convolutions:
    """Trunk, head and IoU features in eight bits; all in and out are float32, channels last.

    Regions are computed one by one, so that none depends on how many there are. `threads` of the
    processor are used. Int8Error where OpenVINO is missing or refuses the file.
    """

    def __init__(self, path: str | Path, threads: int) -> None:
        models = _read(Path(path))[1]
        openvino = openvino_package()
        core = openvino.Core()
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
            # What is left in float32 stays so, also where bfloat16 is fast.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._compiled = {}
        for name, (structure, weights) in models.items():
            try:
                model = core.read_model(model=structure, weights=weights)
                self._compiled[name] = core.compile_model(model, "CPU", settings)
            except RuntimeError as error:
                raise Int8Error(
                    f"expected eight-bit convolutions in {path}; OpenVINO "
                    f"{openvino.__version__} refuses its {name} ({error}): export it again"
                ) from error
        self._take_requests()

    def _take_requests(self) -> None:
        """What a computation works in; not to be shared between threads, as a tracker is not."""
        self._requests = {
            name: model.create_infer_request() for name, model in self._compiled.items()
        }

    def trunk(self, patches: Tensor) -> Features:
        """Trunk features of normalised patches (B, 3, S, S)."""
        return self._pairs("trunk", patches.contiguous())

    def head(self, blocks: Features) -> Features:
        """Head features of trunk features."""
        return self._pairs("head", *(_channels_last(block) for block in blocks))

    def iou_features(self, blocks: Features) -> Features:
        """IoU-Net's test features of trunk features, whole or cut."""
        return self._pairs("iou", *(_channels_last(block) for block in blocks))

    def __deepcopy__(self, memo: dict[int, Any]) -> Int8Convolutions:
        """With the same compiled models: they never change."""
        other = copy.copy(self)
        other._take_requests()
        return other

    def _pairs(self, part: str, *inputs: Tensor) -> Features:
        arrays = [tensor.numpy() for tensor in inputs]
        request = self._requests[part]
        rows = []
        for index in range(len(arrays[0])):
            row = [array[index : index + 1] for array in arrays]
            found = request.infer(row, share_inputs=True)
            rows.append([torch.from_numpy(np.asarray(found[output])) for output in (0, 1)])
        first, second = (
            (parts[0] if len(parts) == 1 else torch.cat(parts)).permute(0, 3, 1, 2)
            for parts in zip(*rows, strict=True)
        )
        return first, second


def read_facts(path: str | Path) -> Int8Facts:
    """What a file says of itself; Int8Error for one that is none."""
    return _read(Path(path))[0]


def check_int8(path: str | Path, model: DCFSTNet, patch_size: int, device: torch.device) -> str:
    """Why eight bits would not be faster on a device, so that they are not used; else empty.

    Raises Int8Error unless the file is one for these weights and patches of this size, and
    OpenVINO is there if it is used.
    """
    facts = read_facts(path)
    if facts.patch_size != patch_size:
        raise Int8Error(
            f"expected eight-bit convolutions for patch_size {patch_size}; {path} is for "
            f"{facts.patch_size}: dcfst export --int8 FILE --patch {patch_size} makes one"
        )
    if facts.weights != weights_digest(model):
        raise Int8Error(
            f"expected eight-bit convolutions of the weights in use; {path} was made of others: "
            "dcfst export --int8 FILE --weights WEIGHTS makes one of these"
        )
    if device.type != "cpu":
        return f"they are for CPUs, and the device is {device}"
    if not has_fast_int8():
        return "this processor has neither VNNI nor AMX"
    openvino_package()
    return ""


def load_int8(
    path: str | Path, model: DCFSTNet, patch_size: int, device: torch.device
) -> Int8Convolutions | None:
    """The convolutions of a file, ready, with as many threads as PyTorch has now.

    None, with a warning, where they would not be faster; Int8Error as of `check_int8`.
    """
    reason = check_int8(path, model, patch_size, device)
    if reason:
        log.warning("eight-bit convolutions are not used, precision auto is: %s", reason)
        return None
    return Int8Convolutions(path, torch.get_num_threads())


@contextlib.contextmanager
def unreported() -> Iterator[None]:
    """Import and use OpenVINO and NNCF without reports on it to their maker.

    Where their package for that is there, they would send some from the first import on, and write
    into the home folder, which no user here agreed to; not so where programs are built and tested,
    which is asked of the environment.
    """
    before = os.environ.get("CI")
    os.environ["CI"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["CI"]
        else:
            os.environ["CI"] = before


def openvino_package() -> Any:
    """OpenVINO; Int8Error with the command that brings it."""
    try:
        with unreported():
            return import_module("openvino")
    except ImportError as error:
        raise Int8Error(
            "expected the package openvino, which is not here: pip install 'dcfst_ros[openvino]'"
        ) from error


def _read(path: Path) -> tuple[Int8Facts, dict[str, tuple[bytes, bytes]]]:
    if not path.is_file():
        raise Int8Error(
            f"expected a file of eight-bit convolutions at {path}; there is none: "
            "dcfst export --int8 FILE --calibrate VIDEO makes one"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(_member(archive, FACTS))
            models = {
                part: (_member(archive, f"{part}.xml"), _member(archive, f"{part}.bin"))
                for part in PARTS
            }
        if facts["format"] != FORMAT:
            raise ValueError(f"format {FORMAT} is read, it has {facts['format']}")
        return Int8Facts(**facts), models
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, RuntimeError) as error:
        raise Int8Error(
            f"expected a file of eight-bit convolutions; {path} cannot be read as one ({error}): "
            "dcfst export --int8 FILE --calibrate VIDEO makes one"
        ) from error


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes; ValueError where there are too many, whatever it says of its size."""
    with archive.open(name) as member:
        data = member.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{name} is larger than {_MOST_BYTES >> 20} MiB")
    return data


def _channels_last(tensor: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H, W, C), float32, in order."""
    return tensor.permute(0, 2, 3, 1).float().contiguous()
