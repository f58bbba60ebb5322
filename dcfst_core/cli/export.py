"""`dcfst export`: the network's convolutions for other runtimes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dcfst_core.cli.options import OptionError, positive_int
from dcfst_core.evaluation.tables import format_table
from dcfst_core.inference.export import OPSET, Port, export_onnx
from dcfst_core.media.output_files import check_outputs
from dcfst_core.network.checkpoint import load_model
from dcfst_core.tracking.config import TrackerConfig


def add_command(commands: Any) -> None:
    """Add the `export` command to the parser."""
    parser = commands.add_parser(
        "export",
        help="write the network as ONNX",
        description="Write what is heavy in a frame, from a search region to trunk, head and IoU "
        "features, as an ONNX file of static shapes, for TensorRT and other runtimes. It is "
        "computed once by ONNX Runtime and compared with PyTorch. Needs pip install "
        "'dcfst_ros[onnx]'.",
    )
    parser.add_argument(
        "--onnx", type=Path, required=True, metavar="FILE", help="the file to write"
    )
    parser.add_argument("--weights", metavar="FILE", help="default: the packaged weights")
    parser.add_argument(
        "--patch",
        type=positive_int,
        metavar="N",
        help="side of the search region, px, a multiple of 16 (default: 288, as the default "
        "preset has it)",
    )
    parser.add_argument(
        "--batch", type=positive_int, default=1, metavar="N", help="search regions at once (1)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Export, check, and say what goes in and comes out."""
    side = options.patch or TrackerConfig.default().patch_size
    if side % 16:
        raise OptionError(f"--patch: expected a multiple of 16; got {side}")
    check_outputs({"--onnx": options.onnx}, [options.weights])
    options.onnx.parent.mkdir(parents=True, exist_ok=True)
    ports = export_onnx(load_model(options.weights), options.onnx, side, options.batch)
    size = options.onnx.stat().st_size / 1e6
    print(f"{options.onnx}: {size:.1f} MB, ONNX opset {OPSET}, float32, shapes as below")
    print(format_table(("port", "name", "shape", "off by"), [_row(port) for port in ports]))
    print("off by: ONNX Runtime against PyTorch, largest difference over largest value\n")
    print("\n".join(f"{port.name}: {port.meaning}" for port in ports))
    return 0


def _row(port: Port) -> tuple[str, ...]:
    shape = "x".join(map(str, port.shape))
    if port.difference is None:
        return "input", port.name, shape, ""
    return "output", port.name, shape, f"{port.difference:.0e}"
