"""Make the boxes that test_stored_boxes.py compares: what the default tracker says of three clips.

    python test/core/make_boxes.py            # writes test/core/data/boxes.json anew

To be run, and the result committed, whenever the tracker's behaviour changes on purpose.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dcfst_core import Tracker, TrackerConfig, load_model
from dcfst_core.evaluation.sequences import list_images, read_boxes
from dcfst_core.inference.machine import describe_machine
from dcfst_core.media.video import read_image

HERE = Path(__file__).resolve().parent
STORED = HERE / "data" / "boxes.json"
CLIPS_ROOT = HERE.parents[2] / "shared" / "data" / "dev"
CLIPS = ("OTB/Basketball", "OTB/Skiing", "DTB70/MountainBike6")
FRAMES = 25


def made_on() -> dict[str, str]:
    """What decides the last digits of a box: processor and PyTorch."""
    facts = describe_machine()
    return {"cpu": str(facts["cpu"]), "torch": str(facts["torch"])}


def follow(folder: Path) -> list[list[float]]:
    """Boxes x, y, w, h of a clip's first frames, from its first true box."""
    tracker = Tracker(load_model(), replace(TrackerConfig.default(), precision="float32"))
    box = read_boxes(folder / "groundtruth_rect.txt", origin=1)[0]
    boxes = []
    for index, path in enumerate(list_images(folder / "img")[:FRAMES]):
        frame = read_image(path)
        track = tracker.update(frame) if index else tracker.init(frame, box.tolist())
        boxes.append(list(track.box_xywh))
    return boxes


def make() -> dict[str, Any]:
    """The content of the file; on one thread, as sums differ with their number."""
    torch.set_num_threads(1)
    return {
        "made_on": made_on(),
        "boxes_xywh": {clip: follow(CLIPS_ROOT / clip) for clip in CLIPS},
    }


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", nargs="?", type=Path, default=STORED)
    path: Path = parser.parse_args().path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(make(), indent=1) + "\n")


if __name__ == "__main__":
    main()
