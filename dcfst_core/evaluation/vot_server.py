"""The tracker as a TraX server, the way the VOT toolkit runs trackers.

In the workspace's `trackers.ini`:

    [dcfst]
    label = DCFST
    protocol = trax
    command = dcfst vot

`vot test dcfst` then checks the connection. Needs the package `vot-trax` (BSD). Source: TraX
protocol, https://trax.readthedocs.io.
"""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

from dcfst_core import Track, Tracker
from dcfst_core.errors import DCFSTError
from dcfst_core.media.video import read_image


class TraxUnavailable(DCFSTError, RuntimeError):
    """The package vot-trax is not installed."""


def serve(tracker: Tracker) -> int:
    """Answer a TraX client on standard input and output until it quits; returns frames tracked.

    Takes any number of objects as rectangles, also new ones in later frames. Reports rectangles
    in the client's pixels with the score as `confidence`. While a target is lost its last box is
    reported with a confidence of 0, since the protocol wants a region of every object.
    """
    trax = _trax()
    frames = 0
    with trax.Server(
        [trax.Region.RECTANGLE],
        [trax.Image.PATH],
        tracker_name="DCFST",
        tracker_description="differentiable closed-form solver tracker",
        multiobject=True,
    ) as server:
        order: list[str] = []
        while True:
            request = server.wait()
            if request.type not in (trax.TraxStatus.INITIALIZE, trax.TraxStatus.FRAME):
                return frames
            frame = read_image(request.image["color"].path())
            if request.type == trax.TraxStatus.INITIALIZE:
                tracker.reset()
                order = []
            tracks = tracker.update_all(frame) if order else {}
            for region, _ in request.objects or []:
                name = str(len(order))
                order.append(name)
                tracks[name] = tracker.init(frame, region.bounds(), target_id=name)
            server.status([_status(trax, tracks[name]) for name in order])
            frames += 1


def _status(trax: SimpleNamespace, track: Track) -> tuple[Any, dict[str, str]]:
    confidence = 0.0 if track.state.value == "lost" else track.score
    region = trax.Rectangle.create(*track.box_xywh)
    return region, {"confidence": f"{confidence:.4f}"}


def _trax() -> SimpleNamespace:
    """The few names of vot-trax that are used."""
    try:
        server, region, image = (import_module(f"trax.{m}") for m in ("server", "region", "image"))
        status = import_module("trax").TraxStatus
    except ImportError as error:
        raise TraxUnavailable(
            f"the VOT toolkit talks to trackers through TraX: pip install vot-trax ({error})"
        ) from error
    return SimpleNamespace(
        Server=server.Server,
        Region=region.Region,
        Rectangle=region.Rectangle,
        Image=image.Image,
        TraxStatus=status,
    )
