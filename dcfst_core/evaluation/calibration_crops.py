"""Search regions out of any videos, without a target, to calibrate eight-bit convolutions on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from dcfst_core.media.frames import Frame
from dcfst_core.media.video import open_frames
from dcfst_core.tracking.patch import SearchRegion, crop_regions, upload_frame

# Side of a region over the frame's shorter side: of targets from a 20th of it to half of it.
_SIDES = (0.25, 2.0)
# Held at a time: 250 MB of 1080p.
_MOST_FRAMES = 40


def draw_crops(videos: Sequence[str], patch_size: int, count: int) -> Tensor:
    """Patches (N, 3, S, S), normalised, of about `count` regions, as many of each video.

    From frames spread evenly over each; the same for the same videos. VideoError for one that
    cannot be read.
    """
    rng = np.random.default_rng(0)
    each = max(1, math.ceil(count / len(videos)))
    crops = []
    for video in videos:
        with open_frames(video) as frames:
            kept = _spread(frames, min(each, _MOST_FRAMES))
        crops += [_crop(kept[i % len(kept)], patch_size, rng) for i in range(each)]
    return torch.cat(crops)


def _spread(frames: Iterable[Frame], most: int) -> list[Frame]:
    """At most `most` frames, evenly spaced: more than half as many, if there are that many.

    The length of a video need not be known, and no more frames than that are held at a time.
    """
    kept: list[Frame] = []
    step = 1
    for index, frame in enumerate(frames):
        if index % step:
            continue
        if len(kept) == most:
            kept, step = kept[::2], 2 * step
            if index % step:
                continue
        kept.append(frame)
    return kept


def _crop(frame: Frame, patch_size: int, rng: np.random.Generator) -> Tensor:
    """A region (1, 3, S, S) of random place and size."""
    height, width = frame.shape[:2]
    side = min(height, width) * math.exp(rng.uniform(*np.log(_SIDES)))
    region = SearchRegion(rng.uniform(0, width), rng.uniform(0, height), side, patch_size)
    return crop_regions(upload_frame(frame, torch.device("cpu")), [region])
