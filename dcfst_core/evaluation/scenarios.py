"""Scenarios: a recorded bag, a box, and what must happen, as YAML beside the bag.

A scenario is a folder with `scenario.yaml` and the bag; docs/reliability.md says what the file may
hold.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dcfst_core.boxes import BoxXYWH
from dcfst_core.errors import DCFSTError
from dcfst_core.evaluation.metrics import FloatArray, overlaps
from dcfst_core.media.bags import ImageBag
from dcfst_core.media.frames import Frame
from dcfst_core.media.image_messages import to_rgb
from dcfst_core.track import Track, TrackState

FILE = "scenario.yaml"
# What `pass` may hold; for each, whether more is better.
CONDITIONS = {
    "iou": True,
    "seen": True,
    "rate": True,
    "found_within": False,
    "lost_within": False,
    "relocks": False,
}
# A box that overlaps the target by less is on something else.
ON_TARGET, OFF_TARGET = 0.5, 0.1
_KEYS = {"bag", "topic", "box", "start_frame", "settings", "truth", "absent", "pass", "about"}


class ScenarioError(DCFSTError, ValueError):
    """A scenario that cannot be read, with its file."""


@dataclass(frozen=True)
class Scenario:
    """box_xywh is in pixels of image number `start_frame`; `absent` are ranges, ends included.

    truth_xywh: (N, 4), NaN where the target is absent or not known; None without truth.
    """

    name: str
    bag: Path
    topic: str
    box_xywh: BoxXYWH
    start_frame: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    truth_xywh: FloatArray | None = None
    absent: tuple[tuple[int, int], ...] = ()
    conditions: dict[str, float] = field(default_factory=dict)

    def is_absent(self, frame: int) -> bool:
        """Whether the target is not in view."""
        return any(first <= frame <= last for first, last in self.absent)

    def frames(self) -> Iterator[Frame]:
        """The images from the first to look at, RGB."""
        with ImageBag(self.bag, self.topic) as source:
            number = 0
            for connection, _, data in source.messages():
                if source.is_image(connection):
                    if number >= self.start_frame:
                        yield to_rgb(source.image(connection, data))
                    number += 1


@dataclass(frozen=True)
class Outcome:
    """What came of a scenario: `measured` by condition; `failed` says what was not met."""

    name: str
    frames: int
    measured: dict[str, float]
    failed: tuple[str, ...]


def read_scenario(folder: Path) -> Scenario:
    """Read `scenario.yaml` of a folder; ScenarioError names what is wrong with it."""
    import yaml

    path = folder / FILE
    try:
        given = yaml.safe_load(path.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ScenarioError(f"expected a scenario in {path}; {error}") from error
    try:
        return _scenario(folder, given)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ScenarioError(
            f"expected bag, topic, box and pass in {path}; {type(error).__name__}: {error}"
        ) from error


def run_scenario(scenario: Scenario, tracker: Any) -> Outcome:
    """Follow the box through the images and judge. `tracker`: a `Tracker` without targets."""
    tracks: list[Track] = []
    times_s: list[float] = []
    for frame in scenario.frames():
        began_s = time.perf_counter()
        tracks.append(tracker.update(frame) if tracks else tracker.init(frame, scenario.box_xywh))
        times_s.append(time.perf_counter() - began_s)
    if not tracks:
        raise ScenarioError(f"{scenario.name}: expected images from {scenario.start_frame} on")
    measured = measure(scenario, tracks)
    measured["rate"] = (len(times_s) - 1) / sum(times_s[1:]) if len(times_s) > 1 else math.inf
    return Outcome(
        scenario.name, len(tracks), measured, tuple(_failures(scenario.conditions, measured))
    )


def measure(scenario: Scenario, tracks: list[Track]) -> dict[str, float]:
    """Each condition's figure but for the rate; NaN where it has no meaning.

    iou: mean overlap while tracked and in view. seen: share of the frames in view that are tracked
    on the target. found_within, lost_within: frames after the longest-lasting end and begin of an
    absence. relocks: frames tracked on something else.
    """
    first = scenario.start_frame
    tracked = np.array([track.state is TrackState.TRACKING for track in tracks])
    absent = np.array([scenario.is_absent(first + i) for i in range(len(tracks))])
    iou = np.full(len(tracks), np.nan)
    if scenario.truth_xywh is not None:
        truth = scenario.truth_xywh[first : first + len(tracks)]
        boxes = np.array([track.box_xywh for track in tracks])[: len(truth)]
        iou[: len(truth)] = overlaps(boxes, truth)
        iou[: len(truth)][np.isnan(truth).any(axis=1)] = np.nan
    on_target = tracked & ~absent & ~(iou < ON_TARGET)
    in_view = ~absent
    scored = iou[tracked & in_view & ~np.isnan(iou)]
    found, lost = [], []
    for begin, end in ((a - first, b - first) for a, b in scenario.absent):
        if 0 < begin < len(tracks):
            lost.append(_first(~tracked[begin : end + 1], end + 1 - begin))
        if end + 1 < len(tracks):
            found.append(_first(on_target[end + 1 :], len(tracks) - end))
    # Where a target has just gone, it takes evidence to say so: that is `lost_within`.
    settled = np.zeros(len(tracks), dtype=bool)
    for (begin, end), frames in zip(scenario.absent, lost, strict=False):
        settled[max(0, begin - first) + frames : end - first + 1] = True
    elsewhere = in_view & (iou < OFF_TARGET)
    return {
        "iou": float(scored.mean()) if len(scored) else math.nan,
        "seen": float(on_target[in_view].mean()) if in_view.any() else math.nan,
        "found_within": float(max(found)) if found else math.nan,
        "lost_within": float(max(lost)) if lost else math.nan,
        "relocks": float((tracked & (settled | elsewhere)).sum()),
    }


def _first(flags: Any, otherwise: int) -> int:
    hits = np.flatnonzero(flags)
    return int(hits[0]) if len(hits) else otherwise


def _failures(conditions: dict[str, float], measured: dict[str, float]) -> Iterator[str]:
    for name, wanted in conditions.items():
        got = measured[name]
        if math.isnan(got):
            yield f"{name}: cannot be measured: it needs truth or absences in {FILE}"
        elif got < wanted if CONDITIONS[name] else got > wanted:
            word = "at least" if CONDITIONS[name] else "at most"
            yield f"{name}: expected {word} {wanted:g}, got {got:.3g}"


def _scenario(folder: Path, given: dict[str, Any]) -> Scenario:
    unknown = sorted(set(given) - _KEYS)
    wrong = sorted(set(given["pass"]) - set(CONDITIONS))
    if unknown or wrong:
        raise ValueError(
            f"unknown {unknown or wrong}; known are {sorted(_KEYS)} and, to pass, "
            f"{sorted(CONDITIONS)}"
        )
    bag = folder / str(given["bag"])
    if folder.resolve() not in bag.resolve().parents:
        raise ValueError(
            f"bag: expected a name in the scenario's own folder; got {given['bag']!r}"
        )
    x, y, w, h = (float(value) for value in given["box"])
    truth = _read_truth(folder / "truth.csv") if given.get("truth") else None
    return Scenario(
        name=folder.name,
        bag=bag,
        topic=str(given["topic"]),
        box_xywh=(x, y, w, h),
        start_frame=int(given.get("start_frame", 0)),
        settings=dict(given.get("settings") or {}),
        truth_xywh=truth,
        absent=tuple((int(a), int(b)) for a, b in given.get("absent") or ()),
        conditions={name: float(value) for name, value in given["pass"].items()},
    )


def _read_truth(path: Path) -> FloatArray:
    """Rows x, y, w, h, one an image; empty cells where the target is absent."""
    with path.open(newline="") as file:
        rows = [[float(cell or "nan") for cell in row] for row in csv.reader(file)]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)
