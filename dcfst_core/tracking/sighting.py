"""One frame's decision for each target: what is found, which find is it, what follows from it.

Who was not found where he should be is looked for once more in the same frame, farther around, if
he is fast enough for that: a target that made a leap is near still; a frame later it is out of
reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from dcfst_core.network.samples import SampleGrid
from dcfst_core.track import Evidence, TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.finds import Find, Other, far_peaks, other_peaks, weigh
from dcfst_core.tracking.judgement import Verdict, choose, judge
from dcfst_core.tracking.localisation import Localiser
from dcfst_core.tracking.search import Plan, look_around
from dcfst_core.tracking.target import Target
from dcfst_core.tracking.verifier import Verifier


class Sighting(NamedTuple):
    """What one frame says of one target."""

    find: Find | None
    """What is most likely the target; None where nothing was found within its reach."""
    evidence: Evidence | None
    verdict: Verdict
    others: tuple[Other, ...] = ()
    """What else answers."""
    far: tuple[Other, ...] = ()
    """What answers where the target cannot be."""


def sight(
    image: Tensor,
    targets: Sequence[Target],
    plans: Sequence[Plan],
    localiser: Localiser,
    verifier: Verifier,
    grid: SampleGrid,
    config: TrackerConfig,
) -> list[Sighting]:
    """Look for all targets in `image` (3, H, W), and again for those that were missed."""
    finds = localiser.find(image, targets, plans)
    sightings = [
        _decide(target, plan, candidates, verifier, config)
        for target, plan, candidates in zip(targets, plans, finds, strict=True)
    ]
    missed = [
        index
        for index, (target, sighting) in enumerate(zip(targets, sightings, strict=True))
        if config.look_around and _may_have_leapt(target, sighting)
    ]
    if missed:
        leapt = [targets[index] for index in missed]
        around = [look_around(plans[index], targets[index], grid, config) for index in missed]
        more = localiser.find(image, leapt, around)
        for index, further in zip(missed, more, strict=True):
            candidates = [*finds[index], *further]
            sightings[index] = _decide(targets[index], plans[index], candidates, verifier, config)
    return sightings


def _may_have_leapt(target: Target, sighting: Sighting) -> bool:
    """Whether it is not where it should be; who is lost is searched far and wide already."""
    missed = sighting.verdict.belief.state is not TrackState.TRACKING
    return missed and target.state is not TrackState.LOST and target.motion.may_leap()


def _decide(
    target: Target,
    plan: Plan,
    finds: Sequence[Find],
    verifier: Verifier,
    config: TrackerConfig,
) -> Sighting:
    candidates = [find for find in finds if find.region is not plan.beyond]
    beyond = [find for find in finds if find.region is plan.beyond]
    weighed = [weigh(find, target) for find in candidates]
    choice = choose(weighed, target.belief, verifier)
    verdict = judge(target.belief, choice, verifier, config)
    if choice is None:
        return Sighting(None, None, verdict, far=far_peaks(beyond, None, target, plan.reach))
    find = candidates[choice.place]
    far = far_peaks(beyond, find, target, plan.reach)
    return Sighting(find, choice.evidence, verdict, other_peaks(candidates, find), far)
