"""Saved targets, found again: in the rest of their own clip, and not in anybody else's.

A clip is cut in two parts with a gap between them. The target is learned in the first, saved, and
looked for in the second, anywhere in the frame; and it is looked for in all other clips, which do
not show it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from tqdm import tqdm

from dcfst_core.evaluation.metrics import has_area, overlaps
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.tables import format_table
from dcfst_core.evaluation.trackers import TrackerSpec
from dcfst_core.media.video import Frame
from dcfst_core.track import TrackState
from dcfst_core.tracking.saved_target import SavedTarget
from dcfst_core.tracking.tracker import Tracker

# A part of fewer frames teaches nothing and is searched in vain.
SHORTEST_PART = 10
# So long a target is looked for, its own clip's second part and others' first frames alike.
SEARCHED_FRAMES = 30
# From this IoU on what was found is the target; up to the other it is something else.
_FOUND, _OTHER = 0.5, 0.05


@dataclass(frozen=True)
class Reunion:
    """What became of one saved target. Frames count from 1."""

    clip: str
    found_after: float
    """Frames until it was told as tracking where it is; NaN if it was not."""
    taken_for_other: bool
    """Whether it was told as tracking away from where it is in its own clip."""
    mistaken_in: tuple[str, ...]
    """Other clips in which it was told as tracking."""
    strangers: int
    """Other clips in which it was looked for."""


def parts(length: int, gap: int) -> tuple[int, int] | None:
    """Frames of the first part, and where the second begins; None where a clip is too short."""
    taught = (length - gap) // 2
    return (taught, taught + gap) if taught >= SHORTEST_PART else None


def usable_clips(
    clips: Sequence[AnnotatedSequence], gap: int
) -> list[tuple[AnnotatedSequence, tuple[int, int]]]:
    """Clips that are long enough, each with its `parts`. ValueError where none is."""
    cut = [(clip, parts(len(clip.frames), gap)) for clip in clips]
    usable = [(clip, part) for clip, part in cut if part is not None]
    if not usable:
        least = gap + 2 * SHORTEST_PART
        raise ValueError(f"expected a clip of {least} frames or more, for a gap of {gap}")
    return usable


def run_reunions(
    spec: TrackerSpec, clips: Sequence[AnnotatedSequence], gap: int, progress: bool = True
) -> list[Reunion]:
    """Teach, save and look for every target. Clips that `parts` finds too short are left out.

    ValueError where none is long enough, or for a tracker that cannot save targets.
    """
    usable = usable_clips(clips, gap)
    tracker = _tracker(spec)
    saved: dict[str, SavedTarget] = {}
    own: dict[str, tuple[float, bool]] = {}
    for clip, (taught, resumed) in tqdm(usable, "reunions", disable=not progress):
        saved[clip.name] = _taught(tracker, clip, taught)
        own[clip.name] = _search_own(tracker, saved[clip.name], clip, resumed)
    mistaken: dict[str, list[str]] = {name: [] for name in saved}
    strangers = dict.fromkeys(saved, 0)
    for clip in tqdm(clips, "other clips", disable=not progress):
        others = {n: target for n, target in saved.items() if _object(n) != _object(clip.name)}
        for name in others:
            strangers[name] += 1
        for name in _search_others(tracker, others, clip):
            mistaken[name].append(clip.name)
    return [Reunion(n, *own[n], tuple(mistaken[n]), strangers[n]) for n in saved]


def reunion_table(reunions: Sequence[Reunion]) -> str:
    """One line a target, and shares of all."""
    rows: list[tuple[object, ...]] = [
        (r.clip, r.found_after, "yes" if r.taken_for_other else "", ", ".join(r.mistaken_in))
        for r in reunions
    ]
    head = ("target", "found after, frames", "elsewhere in its clip", "mistaken in")
    found = np.mean([not math.isnan(r.found_after) for r in reunions])
    searches = sum(r.strangers for r in reunions)
    wrong = sum(len(r.mistaken_in) for r in reunions)
    share = wrong / searches if searches else math.nan
    return (
        format_table(head, rows, digits=0)
        + f"\n\nfound again: {100 * found:.0f} % of {len(reunions)}; taken for something else in "
        f"another clip: {100 * share:.1f} % of {searches} searches of {SEARCHED_FRAMES} frames"
    )


def _tracker(spec: TrackerSpec) -> Tracker:
    tracker = spec.build()
    if not isinstance(tracker, Tracker):
        raise ValueError(f"expected a tracker that saves targets; got {spec.name}")
    return tracker


def _object(name: str) -> str:
    """What a clip shows: `car10_0` and `car10_1` are pieces of one video."""
    stem, _, number = name.rpartition("_")
    return stem if stem and number.isdigit() else name


def _taught(tracker: Tracker, clip: AnnotatedSequence, frames: int) -> SavedTarget:
    tracker.reset()
    images = islice(clip.images(), frames)
    tracker.init(next(images), clip.init_box_xywh)
    for image in images:
        tracker.update(image)
    return tracker.saved_target()


def _search_own(
    tracker: Tracker, target: SavedTarget, clip: AnnotatedSequence, first: int
) -> tuple[float, bool]:
    """Frames until it is found, and whether something else was taken for it before."""
    tracker.reset()
    tracker.load_target(target)
    truth = clip.truth_xywh[first:]
    elsewhere = False
    for index, image in enumerate(_from(clip, first)):
        track = tracker.update(image)
        if track.state is not TrackState.TRACKING:
            continue
        if not has_area(truth[index : index + 1])[0]:
            elsewhere = True
            continue
        iou = overlaps(np.array([track.box_xywh]), truth[index : index + 1])[0]
        if iou >= _FOUND:
            return index + 1.0, elsewhere
        elsewhere = elsewhere or bool(iou <= _OTHER)
    return math.nan, elsewhere


def _search_others(
    tracker: Tracker, targets: Mapping[str, SavedTarget], clip: AnnotatedSequence
) -> list[str]:
    """Names of the targets that were told as tracking in a clip that does not show them."""
    tracker.reset()
    for name, target in targets.items():
        tracker.load_target(target, name)
    told = set()
    for image in _from(clip, 0):
        tracks = tracker.update_all(image)
        told |= {name for name, track in tracks.items() if track.state is TrackState.TRACKING}
    return [name for name in targets if name in told]


def _from(clip: AnnotatedSequence, first: int) -> Iterator[Frame]:
    return islice(clip.images(), first, first + SEARCHED_FRAMES)
