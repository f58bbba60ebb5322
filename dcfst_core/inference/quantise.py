"""Making a file of eight-bit convolutions: post-training quantisation by NNCF.

The ranges of all features are taken from search regions that are like those to come. Weights have
a scale for each channel, features one for each layer.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dcfst_core.inference.export import OUTPUTS, replacing
from dcfst_core.inference.int8 import (
    FACTS,
    PARTS,
    Int8Convolutions,
    Int8Error,
    Int8Facts,
    openvino_package,
    unreported,
)
from dcfst_core.inference.net import InferenceNet, fused_copy
from dcfst_core.network.model import DCFSTNet, weights_digest

_REPETITIONS = 30


@dataclass(frozen=True)
class Compared:
    """A file beside PyTorch.

    errors: of each output of `export.OUTPUTS`, the norm of the difference from float32 over
    float32's norm. milliseconds: least of trunk, head and IoU features of a whole patch: in eight
    bits, and in the format that `precision: auto` takes here.
    """

    errors: dict[str, float]
    int8_ms: float
    auto_ms: float
    auto_format: str


def write_int8(model: DCFSTNet, path: Path, crops: Tensor) -> Int8Facts:
    """Quantise a network on crops (N, 3, S, S), normalised, and write the file.

    Raises Int8Error where a package is missing.
    """
    openvino, nncf = check_packages()
    fused = fused_copy(model, torch.device("cpu"))
    with torch.no_grad():
        inputs = _part_inputs(fused, crops)
    facts = Int8Facts(
        weights_digest(model),
        crops.shape[-1],
        len(crops),
        f"openvino {openvino.__version__.partition('-')[0]}, nncf {nncf.__version__}",
    )
    with tempfile.TemporaryDirectory() as folder, unreported(), _quiet():
        for part in PARTS:
            quantised = _quantised(openvino, nncf, _Part(fused, part), inputs[part])
            place = str(Path(folder) / f"{part}.xml")
            openvino.save_model(quantised, place, compress_to_fp16=False)
        with (
            replacing(path) as unfinished,
            zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            archive.writestr(FACTS, facts.to_json())
            for file in sorted(Path(folder).iterdir()):
                archive.write(file, file.name)
    return facts


def compare(model: DCFSTNet, path: Path, crops: Tensor) -> Compared:
    """Compute with a file what PyTorch does, on crops (N, 3, S, S), normalised."""
    cpu = torch.device("cpu")
    exact, auto = (InferenceNet(model, cpu, name) for name in ("float32", "auto"))
    int8 = InferenceNet(model, cpu, "auto", Int8Convolutions(path, torch.get_num_threads()))
    squares = torch.zeros(2, len(OUTPUTS), dtype=torch.float64)
    with torch.no_grad():
        for crop in crops.split(1):
            pairs = zip(_all_outputs(int8, crop), _all_outputs(exact, crop), strict=True)
            for index, (found, wanted) in enumerate(pairs):
                squares[0, index] += (found - wanted).double().square().sum()
                squares[1, index] += wanted.double().square().sum()
        # In turns: what else runs on the machine then hits both.
        times = [
            [_milliseconds(_all_outputs, net, crops[:1]) for net in (int8, auto)]
            for _ in range(_REPETITIONS)
        ]
    errors = (squares[0] / squares[1]).sqrt().tolist()
    int8_ms, auto_ms = (min(column) for column in zip(*times, strict=True))
    return Compared(
        dict(zip((name for name, _ in OUTPUTS), errors, strict=True)),
        int8_ms,
        auto_ms,
        str(auto.dtype).removeprefix("torch."),
    )


class _Part(nn.Module):
    """One part of the network, from plain tensors to plain tensors."""

    def __init__(self, fused: DCFSTNet, part: str) -> None:
        super().__init__()
        modules = {"trunk": fused.trunk, "head": fused.embedding, "iou": fused.iou_net}
        self.module: Any = modules[part]
        self.is_trunk, self.takes_windows = part == "trunk", part == "iou"

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor]
        found = self.module(inputs[0]) if self.is_trunk else self.module.convolve(inputs)
        return found


def _part_inputs(fused: DCFSTNet, crops: Tensor) -> dict[str, list[tuple[Tensor, ...]]]:
    """What each part is given, for each crop."""
    patches = crops.split(1)
    blocks = [fused.trunk(patch) for patch in patches]
    return {"trunk": [(patch,) for patch in patches], "head": blocks, "iou": blocks}


def _quantised(openvino: Any, nncf: Any, part: _Part, inputs: Sequence[tuple[Tensor, ...]]) -> Any:
    """A part as OpenVINO's model in eight bits."""
    example = inputs[0]
    model = openvino.convert_model(part, example_input=example)
    shapes = [list(tensor.shape) for tensor in example]
    model.reshape(dict(zip(model.inputs, shapes, strict=True)))
    dataset = nncf.Dataset([[tensor.numpy() for tensor in row] for row in inputs])
    ranges = import_module("nncf.quantization.range_estimator").RangeEstimatorParametersSet
    advanced = nncf.AdvancedQuantizationParameters(
        # Halving the weights' range keeps sums from overflowing where there is no VNNI.
        overflow_fix=nncf.OverflowFix.DISABLE,
        # The range of least error, where others take in what is rare: block4 is off by .07, not
        # by .09.
        activations_range_estimator_params=ranges.HISTOGRAM,
    )
    quantised = nncf.quantize(
        model,
        dataset,
        subset_size=len(inputs),
        fast_bias_correction=False,
        advanced_parameters=advanced,
    )
    if part.takes_windows:
        # Box refinement gives it no more than the boxes can see.
        windows = [[*shape[:2], -1, -1] for shape in shapes]
        quantised.reshape(dict(zip(quantised.inputs, windows, strict=True)))
    return _channels_last(openvino, quantised, part.is_trunk)


def _channels_last(openvino: Any, model: Any, is_trunk: bool) -> Any:
    """All inputs and outputs but the patch with channels last, which is OpenVINO's own order."""
    steps = openvino.preprocess.PrePostProcessor(model)
    ports = [steps.output(index) for index in range(len(model.outputs))]
    if not is_trunk:
        ports += [steps.input(index) for index in range(len(model.inputs))]
    for port in ports:
        port.tensor().set_layout(openvino.Layout("NHWC"))
        port.model().set_layout(openvino.Layout("NCHW"))
    return steps.build()


def _all_outputs(net: InferenceNet, patch: Tensor) -> tuple[Tensor, ...]:
    """What `export.OUTPUTS` names, float32."""
    blocks = net.trunk(patch)
    found = (*blocks, *net.convolve(blocks), *net.iou_features(blocks))
    return tuple(tensor.float() for tensor in found)


def _milliseconds(function: Callable[..., object], *given: object) -> float:
    start_s = time.perf_counter()
    function(*given)
    return (time.perf_counter() - start_s) * 1e3


def check_packages() -> tuple[Any, Any]:
    """OpenVINO and NNCF; Int8Error with the command that brings what is missing."""
    try:
        with unreported():
            return openvino_package(), import_module("nncf")
    except ImportError as error:
        raise Int8Error(
            "expected the package nncf, which is not here: pip install 'dcfst_ros[openvino]'"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the packages' remarks on themselves; how far they are is shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("nncf").setLevel(logging.ERROR)
        yield
