"""The network's convolutions as an ONNX file, for TensorRT and other runtimes.

What is exported is all that is heavy in a frame and knows nothing of a target: from a patch to
trunk, head and IoU features. Pooling, regressor and box refinement stay with the tracker.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dcfst_core.errors import DCFSTError
from dcfst_core.inference.net import fused_copy
from dcfst_core.network.model import DCFSTNet

# TensorRT 8.6 and later read it, and so do all ONNX Runtimes of the last years.
OPSET = 18
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# Of an output's largest value; float32 in another order of summation stays far below.
TOLERANCE = 1e-3

INPUT = (
    "patch",
    "search region, RGB / 255, less ImageNet's mean (.485, .456, .406), over its standard "
    "deviation (.229, .224, .225)",
)
OUTPUTS = (
    ("block3", "trunk features, a cell every 8 px"),
    ("block4", "trunk features, a cell every 16 px"),
    ("head3", "head features of block3, which the regressor's RoIs are pooled from"),
    ("head4", "the same of block4"),
    ("iou3", "features of block3, which the IoU predictor's boxes are pooled from"),
    ("iou4", "the same of block4"),
)


class ExportError(DCFSTError, RuntimeError):
    """A network that cannot be exported here, or whose export does not compute the same."""


@dataclass(frozen=True)
class Port:
    """One input or output of an exported network."""

    name: str
    shape: tuple[int, ...]
    meaning: str
    difference: float | None = None
    """Of an output: the largest one from PyTorch's, over PyTorch's largest value."""


class PatchNetwork(nn.Module):
    """From normalised patches (B, 3, S, S) to the tensors that `OUTPUTS` names, float32."""

    def __init__(self, model: DCFSTNet) -> None:
        super().__init__()
        fused = fused_copy(model, torch.device("cpu"))
        self.trunk, self.embedding, self.iou_net = fused.trunk, fused.embedding, fused.iou_net

    def forward(self, patch: Tensor) -> tuple[Tensor, ...]:
        """block3, block4, head3, head4, iou3, iou4."""
        blocks = self.trunk(patch)
        return (*blocks, *self.embedding.convolve(blocks), *self.iou_net.convolve(blocks))


def export_onnx(model: DCFSTNet, path: Path, patch_size: int, batch: int = 1) -> list[Port]:
    """Write an ONNX file of static shapes, compute with it, and return its ports.

    `patch_size`: the tracker's, px; `batch`: patches at once, such as targets. Raises ExportError
    where a package is missing, and where ONNX Runtime's results are not PyTorch's; then there is
    no file.
    """
    for name in PACKAGES:
        try:
            import_module(name)
        except ImportError as error:
            raise ExportError(
                f"expected the package {name}, which is not here: pip install 'dcfst_ros[onnx]'"
            ) from error
    network = PatchNetwork(model).eval()
    generator = torch.Generator().manual_seed(0)
    patch = torch.randn(batch, 3, patch_size, patch_size, generator=generator)
    with replacing(path) as unfinished:
        with _quiet():
            torch.onnx.export(
                network,
                (patch,),
                str(unfinished),
                input_names=[INPUT[0]],
                output_names=[name for name, _ in OUTPUTS],
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
            )
        return _checked(network, unfinished, patch)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write a file that takes its place once it is whole, and is removed on an error."""
    unfinished = path.with_name(path.name + ".part")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _checked(network: PatchNetwork, path: Path, patch: Tensor) -> list[Port]:
    """The ports of the file; ExportError if ONNX Runtime does not compute what PyTorch does."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [name for name, _ in OUTPUTS]
    found = session.run(names, {INPUT[0]: patch.numpy()})
    with torch.no_grad():
        expected = network(patch)
    ports = [Port(INPUT[0], tuple(patch.shape), INPUT[1])]
    for (name, meaning), value, wanted in zip(OUTPUTS, found, expected, strict=True):
        difference = float((torch.from_numpy(value) - wanted).abs().max() / wanted.abs().max())
        if not difference <= TOLERANCE:
            raise ExportError(
                f"expected {name} of the exported network to be PyTorch's to {TOLERANCE:g} of its "
                f"largest value; it is {difference:g} off: please report this with the output of "
                "`dcfst info` and the versions of onnx and onnxruntime"
            )
        ports.append(Port(name, tuple(wanted.shape), meaning, difference))
    return ports


@contextlib.contextmanager
def _quiet() -> Iterator[Any]:
    """Without the exporter's remarks on itself."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
