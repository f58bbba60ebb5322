"""Trackers that can be evaluated: this one in any setting, OpenCV's, or the user's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from dcfst_core.boxes import BoxXYWH
from dcfst_core.errors import DCFSTError
from dcfst_core.evaluation.plain_head import plain_feature_head
from dcfst_core.loading import choose_device
from dcfst_core.media.video import Frame
from dcfst_core.network.checkpoint import default_weights_path, load_model
from dcfst_core.network.hub import locate_weights, metadata_path
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.tracker import Tracker


class OnlineTracker(Protocol):
    """What one-pass evaluation needs of a tracker.

    `update` returns a `Track`, or any object with `box_xywh` (and, optionally, `score` and
    `state`), or a plain box of 4 numbers x, y, w, h in pixels.
    """

    def init(self, frame_rgb: Frame, box_xywh: BoxXYWH) -> Any: ...

    def update(self, frame_rgb: Frame) -> Any: ...


class TrackerUnavailable(DCFSTError, RuntimeError):
    """A tracker that this installation of OpenCV does not have, or whose files are missing."""


@dataclass(frozen=True)
class TrackerSpec:
    """How to build a tracker; plain values, so that worker processes can do it themselves.

    name: folder of its results. opencv: `mil`, `csrt`, `kcf`, `nano:BACKBONE.onnx,HEAD.onnx` or
    `vit:MODEL.onnx` for one of OpenCV's trackers, empty for DCFST. weights: None is the packaged
    file. config: all fields of a TrackerConfig. untrained_head: replace the learned embedding by
    plain trunk features (see `plain_head.plain_feature_head`).
    """

    name: str
    opencv: str = ""
    weights: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"
    untrained_head: bool = False

    def build(self) -> OnlineTracker:
        """Make the tracker; CheckpointError, ValueError or TrackerUnavailable when impossible."""
        if self.opencv:
            return OpenCVTracker(self.opencv)
        model = load_model(self.weights)
        if self.untrained_head:
            model = plain_feature_head(model)
        config = TrackerConfig.from_dict(self.config)
        return Tracker(model, config, choose_device(self.device))

    def fingerprint(self) -> str:
        """Digest of everything that decides the boxes: settings, weights, code, kind of device."""
        described: dict[str, Any] = {"opencv": self.opencv, "cv2": cv2.__version__}
        if not self.opencv:
            weights = locate_weights(self.weights or default_weights_path())
            described = {
                "config": self.config,
                # The verifier lies in the JSON.
                "weights": _digest([weights, metadata_path(weights)]),
                "int8_file": _digest([Path(self.config.get("int8_file") or ".")]),
                "untrained_head": self.untrained_head,
                "code": _code_digest(),
                "device": choose_device(self.device).type,
            }
        text = json.dumps(described, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class OpenCVTrack:
    """What an OpenCV tracker says of one frame."""

    box_xywh: BoxXYWH
    score: float
    state: str


class OpenCVTracker:
    """One of OpenCV's trackers behind `init` and `update`.

    A frame on which it reports failure keeps the last box and is "lost". Most of them have no
    score: theirs is NaN.
    """

    def __init__(self, kind: str) -> None:
        self._make = _opencv_factory(kind)
        self._tracker: Any = None
        self._box: BoxXYWH = (0.0, 0.0, 0.0, 0.0)

    def init(self, frame_rgb: Frame, box_xywh: BoxXYWH) -> OpenCVTrack:
        """Start on a box (x, y, w, h in pixels), rounded to the whole pixels OpenCV takes."""
        x, y, w, h = (round(v) for v in box_xywh)
        self._tracker = self._make()
        self._tracker.init(_bgr(frame_rgb), (x, y, max(w, 1), max(h, 1)))
        self._box = box_xywh
        return OpenCVTrack(box_xywh, float("nan"), "tracking")

    def update(self, frame_rgb: Frame) -> OpenCVTrack:
        """Find the target in the next frame."""
        found, box = self._tracker.update(_bgr(frame_rgb))
        give_score = getattr(self._tracker, "getTrackingScore", None)
        score = float(give_score()) if give_score else -1.0
        # OpenCV's base class answers -1 for trackers that have no score.
        score = score if score >= 0 else float("nan")
        if not found:
            return OpenCVTrack(self._box, score, "lost")
        x, y, w, h = (float(v) for v in box)
        self._box = (x, y, w, h)
        return OpenCVTrack(self._box, score, "tracking")


def _opencv_factory(kind: str) -> Callable[[], Any]:
    name, _, files = kind.partition(":")
    if name in ("mil", "csrt", "kcf"):
        attribute = f"Tracker{name.upper()}_create"
        make = getattr(cv2, attribute, None) or getattr(
            getattr(cv2, "legacy", None), attribute, None
        )
        if make is None:
            raise TrackerUnavailable(
                f"this OpenCV ({cv2.__version__}) has no {name.upper()} tracker: "
                "install opencv-contrib-python instead of opencv-python"
            )
        return make
    paths = [p for p in files.split(",") if p]
    wanted = {"nano": ("backbone", "neckhead"), "vit": ("net",)}.get(name)
    if wanted is None:
        raise TrackerUnavailable(
            f"expected mil, csrt, kcf, nano:BACKBONE,HEAD or vit:MODEL; got {kind!r}"
        )
    missing = [p for p in paths if not Path(p).is_file()]
    if len(paths) != len(wanted) or missing:
        raise TrackerUnavailable(
            f"expected {name}:{','.join(w.upper() + '.onnx' for w in wanted)} with existing "
            f"files; got {kind!r}" + (f", there is no {missing[0]}" if missing else "")
        )
    kinds = {"nano": "TrackerNano", "vit": "TrackerVit"}
    if not hasattr(cv2, kinds[name]):
        raise TrackerUnavailable(f"this OpenCV ({cv2.__version__}) has no {kinds[name]}")
    params = getattr(cv2, f"{kinds[name]}_Params")()
    for attribute, path in zip(wanted, paths, strict=True):
        setattr(params, attribute, path)
    return lambda: getattr(cv2, f"{kinds[name]}_create")(params)


def _bgr(frame_rgb: Frame) -> Frame:
    return np.asarray(cv2.cvtColor(frame_rgb, cv2.COLOR_RGB2BGR), dtype=np.uint8)


def _code_digest() -> str:
    """Of all code that decides a box."""
    package = Path(__file__).parents[1]
    files = [
        path
        for part in ("network", "inference", "tracking")
        for path in (package / part).glob("*.py")
    ]
    return _digest(sorted(files))


def _digest(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
