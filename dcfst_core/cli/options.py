"""Options that several commands share: which weights, which settings, which device."""

from __future__ import annotations

import argparse
import json
import reprlib
from pathlib import Path
from typing import Any

import torch

import dcfst_core
from dcfst_core.boxes import parse_box
from dcfst_core.errors import DCFSTError
from dcfst_core.media.limits import read_bounded
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.tracker import DEFAULT_TARGET_ID

PRESETS = ("paper", "released", "default", "fast", "nano")
MOST_SETTINGS_BYTES = 2**20


class OptionError(DCFSTError, ValueError):
    """A command line option with a value that cannot be used."""


def add_tracker_options(parser: argparse.ArgumentParser, weights: bool = True) -> None:
    """Add --weights (unless they are chosen otherwise), --config, --set, --device, --threads."""
    group = parser.add_argument_group("tracker")
    if weights:
        group.add_argument(
            "--weights", metavar="FILE", help="a .safetensors file; default: the packaged weights"
        )
    group.add_argument(
        "--config",
        default="default",
        metavar="PRESET|FILE",
        help="default, fast, nano, paper or released, or a .yaml or .json file of settings",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change one setting, e.g. --set learning_rate=0.02; may be repeated",
    )
    group.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)"
    )
    group.add_argument(
        "--threads", type=positive_int, metavar="N", help="CPU threads (default: all cores)"
    )


def add_init_options(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add --init and --id: the boxes to follow and their names."""
    parser.add_argument(
        "--init",
        action="append",
        required=required,
        default=None if required else [],
        metavar="X,Y,W,H",
        help="box in the start frame: left, top, width, height in pixels; once for each target",
    )
    parser.add_argument(
        "--id",
        action="append",
        default=[],
        help="name of the target, once for each --init (default: target, or 1, 2, ...)",
    )


def initial_boxes(options: argparse.Namespace) -> dict[str, tuple[float, float, float, float]]:
    """The boxes of --init by their --id; OptionError where the two do not fit together."""
    boxes = [parse_box(text) for text in options.init]
    default = [DEFAULT_TARGET_ID] if len(boxes) == 1 else [str(i + 1) for i in range(len(boxes))]
    names = options.id or default
    if len(names) != len(boxes) or len(set(names)) != len(names):
        raise OptionError(
            f"--id: expected {len(boxes)} different names, one for each --init; got {names}"
        )
    return dict(zip(names, boxes, strict=True))


def apply_threads(options: argparse.Namespace) -> None:
    """Limit torch's threads when --threads was given."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)


def tracker_config(options: argparse.Namespace) -> TrackerConfig:
    """Build the config from --config and --set; OptionError names what is wrong."""
    try:
        values = {**_base_config(options.config).to_dict(), **assignments(options.set)}
        return TrackerConfig.from_dict(values)
    except OptionError:
        raise
    except (TypeError, ValueError) as error:
        raise OptionError(f"tracker settings: {error}") from error


def build_tracker(options: argparse.Namespace) -> dcfst_core.Tracker:
    """Load the tracker that the options describe."""
    apply_threads(options)
    config = tracker_config(options)
    return dcfst_core.load_tracker(options.weights, config, chosen_device(options))


def chosen_device(options: argparse.Namespace) -> torch.device:
    """The device of --device; OptionError where there is no such device."""
    try:
        return dcfst_core.choose_device(options.device)
    except RuntimeError as error:
        raise OptionError(f"--device: {error}") from error


def positive_int(text: str) -> int:
    """Argument type: a whole number above zero."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0; got {text!r}")
    return value


def _base_config(name: str) -> TrackerConfig:
    if name in PRESETS:
        preset: TrackerConfig = getattr(TrackerConfig, name)()
        return preset
    path = Path(name)
    if not path.is_file():
        known = ", ".join(PRESETS)
        raise OptionError(f"--config: expected {known} or a .yaml or .json file; got {name!r}")
    values = _read_settings(path)
    if not isinstance(values, dict):
        # Short: aliases let a small file stand for a text without end.
        found = reprlib.repr(values)
        raise OptionError(f"--config: expected settings `name: value` in {path}; got {found}")
    return TrackerConfig.from_dict(values)


def _read_settings(path: Path) -> Any:
    import yaml

    is_json = path.suffix.lower() == ".json"
    try:
        text = read_bounded(path, MOST_SETTINGS_BYTES).decode()
        return json.loads(text) if is_json else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError, OSError) as error:
        kind = "JSON" if is_json else "YAML"
        raise OptionError(f"--config: expected {kind} in {path}; {error}") from error


def assignments(pairs: list[str]) -> dict[str, Any]:
    """Read `FIELD=VALUE` texts; values are JSON where they can be, else strings."""
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise OptionError(f"--set: expected FIELD=VALUE; got {pair!r}")
        try:
            values[name.strip()] = json.loads(text.strip().lower())
        except (ValueError, RecursionError):
            values[name.strip()] = text.strip()
    return values
