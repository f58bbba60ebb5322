"""Is it the target? The verifier's sum, the filter's arithmetic, states and permissions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest

from dcfst_core.errors import CheckpointError
from dcfst_core.track import Evidence, TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.evidence import FEATURES, Usual, features
from dcfst_core.tracking.judgement import (
    PLAIN_VERIFIER,
    Belief,
    Verifier,
    judge,
    plain_score,
    predicted,
)

Make = Callable[..., Evidence]

CONFIG = TrackerConfig(
    tracking_threshold=0.5,
    lost_threshold=0.1,
    learning_threshold=0.8,
    vanishing=0.02,
    returning=0.05,
)


def verifier(carry: float = 0.0, **weights: float) -> Verifier:
    """One that weighs the named features alone, as they are."""
    return Verifier(
        mean=(0.0,) * len(FEATURES),
        deviation=(1.0,) * len(FEATURES),
        weight=tuple(weights.get(name, 0.0) for name in FEATURES),
        bias=0.0,
        carry=carry,
    )


# Its log-odds are the find's `sharpness`, whatever else is found.
TOLD = verifier(sharpness=1.0)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def saying(make: Make, probability: float) -> Evidence:
    """Evidence from which `TOLD` makes this probability."""
    return make(sharpness=logit(probability))


def test_the_verifier_is_a_clipped_standardised_sum(evidence: Make) -> None:
    find, usual = evidence(novelty=0.9, distance=3.0), Usual(0.7, 0.8)
    made = Verifier(
        mean=tuple(0.1 * k for k in range(len(FEATURES))),
        deviation=tuple(0.1 + 0.05 * k for k in range(len(FEATURES))),
        weight=tuple((-1) ** k * 0.1 * k for k in range(len(FEATURES))),
        bias=-0.3,
        carry=0.4,
    )
    expected, clipped = -0.3, 0
    for k, value in enumerate(features(find, usual)):
        standard = (value - 0.1 * k) / (0.1 + 0.05 * k)
        clipped += abs(standard) > 4
        expected += (-1) ** k * 0.1 * k * max(-4.0, min(4.0, standard))
    assert clipped and -6 < expected < 6
    assert made.odds(find, usual) == pytest.approx(expected)
    for weight, most in ((100.0, 6.0), (-100.0, -6.0)):
        assert verifier(peak=weight).odds(find, usual) == most


def test_the_filter_adds_what_is_new_to_what_was_known(evidence: Make) -> None:
    made = verifier(carry=0.7, sharpness=1.0)
    belief, p = Belief(), 1.0
    for odds in (2.0, -1.5, -3.0, 0.5, 2.5):
        prior = (1 - 0.02) * p + 0.05 * (1 - p)
        assert predicted(p, 0.02, 0.05) == pytest.approx(prior)
        p = 1 / (1 + math.exp(-(odds + 0.7 * logit(prior))))
        belief = judge(belief, evidence(sharpness=odds), made, CONFIG).belief
        assert belief.probability == pytest.approx(p)


def test_finding_nothing_speaks_against_it(evidence: Make) -> None:
    made = verifier(carry=0.5)
    verdict = judge(Belief(probability=0.9), None, made, CONFIG)
    prior = 0.98 * 0.9 + 0.05 * 0.1
    expected = 1 / (1 + math.exp(-(-3 + 0.5 * logit(prior))))
    assert verdict.belief.probability == pytest.approx(expected)
    assert not verdict.follow and not verdict.may_learn
    assert verdict.belief.usual == Usual()


def test_judge_is_pure(evidence: Make) -> None:
    before = Belief(TrackState.UNCERTAIN, 0.6, Usual(0.7, 0.8))
    find = evidence()
    copies = dataclasses.replace(before), dataclasses.replace(find)
    first = judge(before, find, PLAIN_VERIFIER, CONFIG)
    assert judge(before, find, PLAIN_VERIFIER, CONFIG) == first
    assert (before, find) == copies
    for value in (before, first, first.belief, find):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, None)


def test_states_have_a_hysteresis(evidence: Make) -> None:
    belief, states = Belief(), []
    for probability in (0.9, 0.4, 0.2, 0.6, 0.3, 0.05, 0.2, 0.45, 0.55, 0.05):
        belief = judge(belief, saying(evidence, probability), TOLD, CONFIG).belief
        assert belief.probability == pytest.approx(probability)
        states.append(str(belief.state))
    assert states == [
        *("tracking", "uncertain", "uncertain", "tracking", "uncertain", "lost"),
        *("lost", "lost", "tracking", "lost"),  # lost, it is not in doubt: it is looked for
    ]


@pytest.mark.parametrize("state", [TrackState.TRACKING, TrackState.UNCERTAIN, TrackState.LOST])
@pytest.mark.parametrize(
    ("probability", "follow", "may_learn"),
    [(0.85, True, True), (0.75, True, False), (0.45, False, False), (0.05, False, False)],
)
def test_only_what_is_surely_seen_is_learned(
    evidence: Make, state: TrackState, probability: float, follow: bool, may_learn: bool
) -> None:
    before = Belief(state, 0.5, Usual(0.7, 0.8))
    find = saying(evidence, probability)
    verdict = judge(before, find, TOLD, CONFIG)
    assert (verdict.follow, verdict.may_learn) == (follow, may_learn)
    expected = before.usual.with_seen(find) if may_learn else before.usual
    assert verdict.belief.usual == expected


def test_a_likely_find_of_a_lost_target_is_looked_at_more_closely(evidence: Make) -> None:
    made = verifier(carry=1.0, sharpness=1.0)
    before = Belief(TrackState.LOST, 0.01)
    for odds, follow in ((0.5, True), (-0.5, False)):
        verdict = judge(before, evidence(sharpness=odds), made, CONFIG)
        assert verdict.belief.state is TrackState.LOST
        assert verdict.follow is follow and not verdict.may_learn


def test_without_judgement_nothing_is_ever_in_doubt(evidence: Make) -> None:
    belief = Belief()
    for peak in (0.9, 0.0, -0.5):
        find = evidence(peak=peak, second_peak=2.0, likeness=0.0, distance=50.0)
        verdict = judge(belief, find, PLAIN_VERIFIER, TrackerConfig.paper())
        assert verdict.belief.state is TrackState.TRACKING
        assert verdict.belief.probability == pytest.approx(plain_score(find))
        assert verdict.follow and verdict.may_learn
        belief = verdict.belief
    nothing = judge(belief, None, PLAIN_VERIFIER, TrackerConfig.paper())
    assert not nothing.follow and nothing.belief.probability == 0.0


@pytest.mark.parametrize(
    ("peak", "predicted_iou", "score"),
    [(0.8, 0.5, 0.4), (1.3, 1.0, 1.0), (-0.2, 0.9, 0.0), (0.7, math.nan, 0.7)],
)
def test_the_plain_score_is_the_peak_times_the_predicted_iou(
    evidence: Make, peak: float, predicted_iou: float, score: float
) -> None:
    find = evidence(peak=peak, predicted_iou=predicted_iou)
    assert plain_score(find) == pytest.approx(score)


def test_numbers_that_are_none_are_no_evidence_for_good(evidence: Make) -> None:
    damaged = judge(Belief(), evidence(likeness=math.nan), PLAIN_VERIFIER, CONFIG)
    unweighed = judge(Belief(), evidence(likeness=math.nan), verifier(likeness_first=1), CONFIG)
    again = judge(unweighed.belief, evidence(), PLAIN_VERIFIER, CONFIG)
    for verdict in (damaged, unweighed, again):
        assert 0 <= verdict.belief.probability <= 1
    assert again.belief.state is TrackState.TRACKING


def test_the_plain_verifier_tells_a_good_find_from_none(evidence: Make) -> None:
    good = judge(Belief(), evidence(), PLAIN_VERIFIER, CONFIG)
    assert good.belief.state is TrackState.TRACKING and good.may_learn
    belief = good.belief
    poor = evidence(peak=0.05, second_peak=0.05, predicted_iou=0.2)
    for _ in range(5):
        belief = judge(belief, poor, PLAIN_VERIFIER, CONFIG).belief
    assert belief.state is TrackState.LOST


def test_a_verifier_travels_in_the_weights_metadata() -> None:
    made = Verifier(
        mean=tuple(0.1 * k for k in range(len(FEATURES))),
        deviation=tuple(1.0 + k for k in range(len(FEATURES))),
        weight=tuple(0.3 - 0.1 * k for k in range(len(FEATURES))),
        bias=-0.3,
        carry=0.4,
    )
    assert Verifier.from_metadata({"verifier": made.to_metadata()}) == made
    assert Verifier.from_metadata({"note": "none"}) == PLAIN_VERIFIER


@pytest.mark.parametrize(
    "change",
    [
        {"features": ["peak"]},
        {"features": 3},
        {"mean": [0.0]},
        {"weight": ["heavy"] * len(FEATURES)},
        {"deviation": [0.0] * len(FEATURES)},
        {"bias": math.nan},
        {"carry": None},
        {"mean": None},
    ],
    ids=str,
)
def test_a_verifier_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    described = {**PLAIN_VERIFIER.to_metadata(), **change}
    with pytest.raises(CheckpointError, match=f"expected a verifier of {len(FEATURES)} features"):
        Verifier.from_metadata({"verifier": described})


@pytest.mark.parametrize("described", [{}, [], "peak", 1.0])
def test_a_verifier_of_another_form_is_refused(described: object) -> None:
    with pytest.raises(CheckpointError, match="dcfst-train judge"):
        Verifier.from_metadata({"verifier": described})
