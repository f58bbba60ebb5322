#!/usr/bin/env python3
"""Make ten scenarios: bags of drawn scenes and of the demo clip, with what must happen as YAML.

    python scripts/make_scenarios.py scenarios     then: dcfst scenario scenarios

The drawn scenes are the same each time. The demo clip is fetched once; without a network the
script says so and leaves its scenario out. `--only NAME ...` makes just these.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import yaml

from dcfst_core.evaluation.image_bags import write_image_bag
from dcfst_core.evaluation.scenarios import FILE
from dcfst_core.evaluation.synthetic import texture
from dcfst_core.media.video import open_frames

SIZE, TARGET = (320, 240), (40, 48)
TOPIC = "/camera/image_raw"
# The same in every drawn scene; tighter or looser where a scene says so.
USUAL = {"iou": 0.6, "seen": 0.9, "relocks": 0, "rate": 0.2}


@dataclass
class Shot:
    """One frame: where the target is (centre, scale), what lies over it, how bright it is."""

    centre: tuple[float, float]
    scale: float = 1.0
    visible: bool = True
    cover: float = 0.0
    """Share of the target that a patch covers, from its left."""
    rival: tuple[float, float] | None = None
    """Centre of a copy of the target that lies behind it."""
    light: float = 1.0


@dataclass
class Scene:
    """Shots, the frames in which the target cannot be seen, and the conditions."""

    about: str
    shots: list[Shot]
    absent: list[tuple[int, int]] = field(default_factory=list)
    conditions: dict[str, float] = field(default_factory=dict)


def path(frame: int, speed: float = 1.0) -> tuple[float, float]:
    """A smooth closed way through the picture."""
    phase = 2 * np.pi * frame * speed / 120
    return (160 + 70 * float(np.sin(phase)), 120 + 35 * float(np.sin(2 * phase)))


def scenes() -> dict[str, Scene]:
    """All drawn scenes by name."""
    back = {**USUAL, "seen": 0.8, "lost_within": 15, "found_within": 20}
    steady = [Shot(path(i)) for i in range(60)]
    fast = [Shot(path(i, 3.0)) for i in range(60)]
    grows = [Shot(path(i), scale=1.0 + 0.8 * np.sin(np.pi * i / 60)) for i in range(60)]
    dark = [Shot(path(i), light=1.0 - 0.75 * np.sin(np.pi * i / 60)) for i in range(60)]
    sparse = [Shot(path(i)) for i in range(0, 150, 3)]
    vanished = [Shot(path(i), visible=not 30 <= i < 60) for i in range(90)]
    covered = [
        Shot(path(i), cover=float(np.interp(i, (20, 30, 50, 60), (0, 1, 1, 0)))) for i in range(85)
    ]
    leaves = [Shot((160 - 7 * i if i < 45 else 160 - 7 * (90 - i), 120.0)) for i in range(100)]
    crossing = [Shot(path(0), rival=(300 - 4.5 * i, 128.0)) for i in range(65)]
    return {
        "steady": Scene(
            "a target on a smooth way", steady, [], {**USUAL, "iou": 0.7, "seen": 1.0}
        ),
        "fast": Scene("it moves by a third of its size a frame", fast, [], USUAL),
        "grows": Scene("it comes near and goes", grows, [], USUAL),
        "dark": Scene("the light fades to a quarter and comes back", dark, [], USUAL),
        "dropped_frames": Scene("two of three frames are missing", sparse, [], USUAL),
        "vanishes": Scene("it is gone for 30 frames", vanished, [(30, 59)], back),
        "covered": Scene("something slides over it and away", covered, [(29, 51)], back),
        "leaves": Scene(
            "it leaves the picture on the left and comes back", leaves, [(26, 64)], back
        ),
        "look_alike": Scene("its copy crosses behind it", crossing, [], USUAL),
    }


def draw(scene: Scene) -> Iterator[np.ndarray]:
    """The frames of a scene, RGB."""
    rng = np.random.default_rng(11)
    background = texture(rng, SIZE, grain=24, contrast=60.0)
    target = texture(rng, TARGET, grain=7, contrast=110.0)
    patch = texture(rng, (90, 90), grain=12, contrast=60.0)
    for shot in scene.shots:
        frame = background.astype(np.float32)
        if shot.rival is not None:
            frame = paste(frame, target, shot.rival, 1.0)
        if shot.visible:
            frame = paste(frame, target, shot.centre, shot.scale)
        if shot.cover > 0:
            x = shot.centre[0] - 45 - (1 - shot.cover) * 68
            frame = paste(frame, patch, (x, shot.centre[1]), 1.0)
        yield np.rint(frame * shot.light).clip(0, 255).astype(np.uint8)


def paste(
    frame: np.ndarray, patch: np.ndarray, centre: tuple[float, float], scale: float
) -> np.ndarray:
    """Draw a patch with its centre at a place in continuous pixels."""
    height, width = patch.shape[:2]
    x, y = centre[0] - scale * width / 2, centre[1] - scale * height / 2
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    layer = cv2.warpAffine(patch.astype(np.float32), matrix, SIZE)
    mask = cv2.warpAffine(np.ones((height, width), np.float32), matrix, SIZE)[..., None]
    return layer + (1 - mask) * frame


def truth(scene: Scene) -> list[list[float | str]]:
    """The target's box in each frame; empty cells while it cannot be seen."""
    rows: list[list[float | str]] = []
    for index, shot in enumerate(scene.shots):
        if any(first <= index <= last for first, last in scene.absent):
            rows.append([""] * 4)
            continue
        w, h = TARGET[0] * shot.scale, TARGET[1] * shot.scale
        rows.append(
            [round(float(v), 3) for v in (shot.centre[0] - w / 2, shot.centre[1] - h / 2, w, h)]
        )
    return rows


def write(folder: Path, about: dict[str, object], rows: list[list[float | str]] | None) -> None:
    """scenario.yaml, and truth.csv where there is truth."""
    text = yaml.safe_dump(about, sort_keys=False, default_flow_style=None, allow_unicode=True)
    (folder / FILE).write_text(text)
    if rows is not None:
        with (folder / "truth.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def make_drawn(folder: Path, name: str, scene: Scene) -> None:
    """One scenario of a drawn scene."""
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)  # of a run that was stopped
    place.mkdir(parents=True)
    write_image_bag(place / "bag", draw(scene), TOPIC)
    rows = truth(scene)
    about = {"about": scene.about, "bag": "bag", "topic": TOPIC, "box": rows[0], "truth": True}
    absent = [list(span) for span in scene.absent]
    write(place, {**about, "absent": absent, "pass": scene.conditions}, rows)


def make_demo(folder: Path, clip: Path | None) -> bool:
    """The cyclist of the demo clip, hidden by passing cars; whether the clip could be had."""
    from dcfst_ros.demo import CLIP_BOX, CLIP_FRAMES, CLIP_START, DemoError, fetch_clip

    try:
        clip = clip or fetch_clip()
    except DemoError as error:
        print(f"make_scenarios: demo left out: {error}", file=sys.stderr)
        return False
    place = folder / "demo"
    shutil.rmtree(place, ignore_errors=True)  # of a run that was stopped
    place.mkdir(parents=True)
    with open_frames(clip) as source:
        source.skip(CLIP_START)
        frames = (np.asarray(frame) for frame in itertools.islice(source, CLIP_FRAMES))
        write_image_bag(place / "bag", frames, TOPIC, source.fps or 25.0)
    about = {"about": "a cyclist is hidden by passing cars; no truth, states alone are judged"}
    about |= {"bag": "bag", "topic": TOPIC, "box": [float(v) for v in CLIP_BOX.split(",")]}
    wanted = {"seen": 0.6, "lost_within": 8, "found_within": 12, "rate": 0.2}
    write(place, {**about, "absent": [list(span) for span in DEMO_ABSENT], "pass": wanted}, None)
    return True


# Frames of the demo clip in which the cyclist is wholly hidden, by eye.
DEMO_ABSENT = [(7, 26)]


def main() -> int:
    """Make what was asked for."""
    parser = argparse.ArgumentParser(description="Make the ten scenarios.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--clip", type=Path, help="the demo clip, where it is already")
    options = parser.parse_args()
    drawn = scenes()
    unknown = sorted(set(options.only) - {*drawn, "demo"})
    if unknown:
        print(
            f"make_scenarios: expected names among {[*drawn, 'demo']}; got {unknown}",
            file=sys.stderr,
        )
        return 2
    for name, scene in drawn.items():
        if not options.only or name in options.only:
            if (options.folder / name / FILE).exists():
                continue  # a second run makes what is missing
            make_drawn(options.folder, name, scene)
            print(options.folder / name)
    wants_demo = not options.only or "demo" in options.only
    if wants_demo and not (options.folder / "demo" / FILE).exists():
        if make_demo(options.folder, options.clip):
            print(options.folder / "demo")
        elif options.only:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
