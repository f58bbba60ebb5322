"""`dcfst export`: the network's convolutions for other runtimes, or in eight bits."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from dcfst_core.cli.options import OptionError, positive_int
from dcfst_core.evaluation.calibration_crops import draw_crops
from dcfst_core.evaluation.tables import format_table
from dcfst_core.inference.export import OPSET, OUTPUTS, Port, export_onnx
from dcfst_core.inference.quantise import check_packages, compare, write_int8
from dcfst_core.media.output_files import check_outputs
from dcfst_core.network.checkpoint import load_model
from dcfst_core.network.model import DCFSTNet
from dcfst_core.tracking.config import TrackerConfig

# So many search regions are calibrated on, and so many more compared with PyTorch.
_CROPS, _COMPARED = 160, 16


def add_command(commands: Any) -> None:
    """Add the `export` command to the parser."""
    parser = commands.add_parser(
        "export",
        help="write the network as ONNX, or in eight bits",
        description="Write what is heavy in a frame, from a search region to trunk, head and IoU "
        "features. As an ONNX file of static shapes, for TensorRT and other runtimes (needs pip "
        "install 'dcfst_ros[onnx]'); or in eight bits, for this tracker on CPUs with VNNI or AMX "
        "(needs pip install 'dcfst_ros[openvino]'). Both are compared with PyTorch.",
    )
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--onnx", type=Path, metavar="FILE", help="write ONNX to this file")
    kind.add_argument(
        "--int8",
        type=Path,
        metavar="FILE",
        help="write eight-bit convolutions to this file, to track with --set precision=int8 "
        "--set int8_file=FILE",
    )
    parser.add_argument(
        "--calibrate",
        nargs="+",
        metavar="VIDEO",
        help="with --int8: videos or folders of images like those to be tracked in, from which "
        "the features' ranges are taken; no boxes are needed",
    )
    parser.add_argument("--weights", metavar="FILE", help="default: the packaged weights")
    parser.add_argument(
        "--patch",
        type=positive_int,
        metavar="N",
        help="side of the search region, px, a multiple of 16 (default: 288, as the default "
        "preset has it; fast: 176, nano: 144)",
    )
    parser.add_argument(
        "--batch",
        type=positive_int,
        default=1,
        metavar="N",
        help="with --onnx: search regions at once (1)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Export, check, and say what goes in and comes out."""
    side = options.patch or TrackerConfig.default().patch_size
    if side % 16:
        raise OptionError(f"--patch: expected a multiple of 16; got {side}")
    if (options.int8 is None) != (options.calibrate is None):
        raise OptionError("--int8, --calibrate: expected both; got one")
    name, path = ("--int8", options.int8) if options.int8 else ("--onnx", options.onnx)
    check_outputs({name: path}, [options.weights, *(options.calibrate or ())])
    path.parent.mkdir(parents=True, exist_ok=True)
    model = load_model(options.weights)
    if options.int8 is not None:
        _write_int8(model, path, options.calibrate, side)
    else:
        _write_onnx(model, path, side, options.batch)
    return 0


def _write_onnx(model: DCFSTNet, path: Path, side: int, batch: int) -> None:
    ports = export_onnx(model, path, side, batch)
    size = path.stat().st_size / 1e6
    print(f"{path}: {size:.1f} MB, ONNX opset {OPSET}, float32, shapes as below")
    print(format_table(("port", "name", "shape", "off by"), [_row(port) for port in ports]))
    print("off by: ONNX Runtime against PyTorch, largest difference over largest value\n")
    print("\n".join(f"{port.name}: {port.meaning}" for port in ports))


def _write_int8(model: DCFSTNet, path: Path, videos: list[str], side: int) -> None:
    check_packages()
    crops = draw_crops(videos, side, _CROPS + _COMPARED)
    # Every so many crops: of all videos.
    held = torch.arange(len(crops)) % (len(crops) // _COMPARED) == 0
    facts = write_int8(model, path, crops[~held])
    found = compare(model, path, crops[held])
    size = path.stat().st_size / 1e6
    print(
        f"{path}: {size:.1f} MB, for patches of {side} px, {facts.crops} crops, {facts.versions}"
    )
    rows = [(name, f"{found.errors[name]:.3f}", meaning) for name, meaning in OUTPUTS]
    print(format_table(("output", "off by", "meaning"), rows))
    print("off by: norm of the difference from PyTorch's float32 over its norm, other crops\n")
    print(
        f"trunk, head and IoU features of one patch: {found.int8_ms:.1f} ms; "
        f"{found.auto_ms:.1f} ms in {found.auto_format}, which precision auto takes here"
    )
    if found.int8_ms >= found.auto_ms:
        print("eight bits are not faster on this machine: leave precision at auto")


def _row(port: Port) -> tuple[str, ...]:
    shape = "x".join(map(str, port.shape))
    if port.difference is None:
        return "input", port.name, shape, ""
    return "output", port.name, shape, f"{port.difference:.0e}"
