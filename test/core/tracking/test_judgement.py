"""Is it the target, and is its box good? The filter's arithmetic, states and permissions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from dcfst_core.track import Evidence, TrackState
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.evidence import FEATURES, Means, Usual
from dcfst_core.tracking.evidence import doubt as doubt_of
from dcfst_core.tracking.judgement import (
    Belief,
    Verdict,
    choose,
    is_sure,
    judge,
    plain_score,
    predicted,
)
from dcfst_core.tracking.verifier import PLAIN_VERIFIER, Verifier

Make = Callable[..., Evidence]

CONFIG = TrackerConfig(
    lost_after=1,
    tracking_threshold=0.5,
    lost_threshold=0.1,
    learning_threshold=0.8,
    vanishing=0.02,
    returning=0.05,
)


Weights = dict[str, float]


def verifier(
    presence: Weights, quality: Weights | None = None, carry: float = 0.0, bias: float = 0.0
) -> Verifier:
    """One that weighs the named features alone, as they are."""
    quality = quality or {}
    return Verifier(
        mean=(0.0,) * len(FEATURES),
        deviation=(1.0,) * len(FEATURES),
        weight=tuple(presence.get(name, 0.0) for name in FEATURES),
        bias=bias,
        carry=carry,
        quality_weight=tuple(quality.get(name, 0.0) for name in FEATURES),
        quality_bias=0.0,
    )


def judged(
    before: Belief, find: Evidence | None, made: Verifier, config: TrackerConfig = CONFIG
) -> Verdict:
    """What follows from one find, or none."""
    choice = choose([] if find is None else [find], before, made)
    return judge(before, choice, made, config)


def chosen(finds: list[Evidence], belief: Belief, made: Verifier) -> int:
    """The index of the find that is taken."""
    choice = choose(finds, belief, made)
    assert choice is not None and choice.evidence is finds[choice.place]
    return choice.place


# Its log-odds are two features as they are, whatever else is found.
PRESENCE, QUALITY = "size_change", "aspect_change"
TOLD = verifier({PRESENCE: 1.0}, {QUALITY: 1.0})


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def sigmoid(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


def saying(make: Make, probability: float, good: float = 0.5) -> Evidence:
    """Evidence from which `TOLD` makes this presence, and this quality of the box."""
    return make(**{PRESENCE: logit(probability), QUALITY: logit(good)})


def test_the_filter_adds_what_is_new_to_what_was_known(evidence: Make) -> None:
    made = verifier({PRESENCE: 1.0}, carry=0.7)
    belief, p = Belief(), 1.0
    for odds in (2.0, -1.5, -3.0, 0.5, 2.5):
        prior = (1 - 0.02) * p + 0.05 * (1 - p)
        assert predicted(p, 0.02, 0.05) == pytest.approx(prior)
        p = sigmoid(odds + 0.7 * logit(prior))
        belief = judged(belief, evidence(**{PRESENCE: odds}), made, CONFIG).belief
        assert belief.presence == pytest.approx(p)


@pytest.mark.parametrize("odds", [-2.0, 0.0, 1.5])
@pytest.mark.parametrize("quality", [-1.0, 0.0, 2.5])
def test_the_score_is_presence_times_quality(evidence: Make, odds: float, quality: float) -> None:
    made = verifier({PRESENCE: 1.0}, {QUALITY: 1.0}, carry=0.6)
    before = Belief(TrackState.UNCERTAIN, 0.4, 0.01)
    find = evidence(**{PRESENCE: odds, QUALITY: quality})
    belief = judged(before, find, made, CONFIG).belief
    presence = sigmoid(odds + 0.6 * logit(0.98 * 0.4 + 0.05 * 0.6))
    assert belief.presence == pytest.approx(presence)
    assert belief.score == pytest.approx(presence * sigmoid(quality))


def test_what_was_known_of_the_box_is_not_carried(evidence: Make) -> None:
    """Presence lasts from frame to frame; how good a box is, each frame says anew."""
    made = verifier({PRESENCE: 1.0}, {QUALITY: 1.0}, carry=0.6)
    find = evidence(**{PRESENCE: 0.3, QUALITY: 0.4})
    scores = {judged(Belief(score=score), find, made, CONFIG).belief for score in (0.0, 0.5, 1.0)}
    assert len(scores) == 1


def test_finding_nothing_speaks_against_it_and_against_its_box() -> None:
    made = verifier({}, carry=0.5)
    before = Belief(presence=0.9, usual=Usual(Means(0.7, 0.8), Means(0.6, 0.7)))
    verdict = judged(before, None, made, CONFIG)
    prior = 0.98 * 0.9 + 0.05 * 0.1
    expected = sigmoid(-3 + 0.5 * logit(prior))
    assert verdict.belief.presence == pytest.approx(expected)
    assert verdict.belief.score == pytest.approx(expected * sigmoid(-3))
    assert not verdict.follow and not verdict.may_learn
    assert verdict.belief.usual == before.usual


def test_what_drops_against_the_frames_before_is_doubted(evidence: Make) -> None:
    """The same find is weighed by what was found lately: the verifier sees the belief's means."""
    made = verifier({"peak_drop": 4.0}, bias=1.0)
    find = evidence(peak=0.4)
    faded, covered = (
        judged(Belief(usual=Usual(Means(0.8, 0.9), Means(lately, 0.9))), find, made, CONFIG)
        for lately in (0.4, 0.8)
    )
    assert faded.belief.presence == pytest.approx(sigmoid(1.0))
    assert covered.belief.presence == pytest.approx(sigmoid(4 * math.log(0.5) + 1))
    assert faded.belief.state is TrackState.TRACKING
    assert covered.belief.state is TrackState.UNCERTAIN


def test_judge_is_pure(evidence: Make) -> None:
    usual = Usual(Means(0.7, 0.8), Means(0.6, 0.7))
    before = Belief(TrackState.UNCERTAIN, 0.6, 0.5, usual)
    find = evidence()
    copies = dataclasses.replace(before), dataclasses.replace(find)
    first = judged(before, find, PLAIN_VERIFIER, CONFIG)
    assert judged(before, find, PLAIN_VERIFIER, CONFIG) == first
    assert (before, find) == copies
    for value in (before, first, first.belief, find):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, None)


@pytest.mark.parametrize("good", [0.05, 0.95])
def test_states_have_a_hysteresis_of_the_presence(evidence: Make, good: float) -> None:
    belief, states = Belief(), []
    for probability in (0.9, 0.4, 0.2, 0.6, 0.3, 0.05, 0.2, 0.45, 0.55, 0.05):
        belief = judged(belief, saying(evidence, probability, good), TOLD, CONFIG).belief
        assert belief.presence == pytest.approx(probability)
        assert belief.score == pytest.approx(probability * good)
        states.append(str(belief.state))
    assert states == [
        *("tracking", "uncertain", "uncertain", "tracking", "uncertain", "lost"),
        *("lost", "lost", "tracking", "lost"),  # lost, it is not in doubt: it is looked for
    ]


@pytest.mark.parametrize("state", [TrackState.TRACKING, TrackState.UNCERTAIN, TrackState.LOST])
@pytest.mark.parametrize("good", [0.05, 0.95])
@pytest.mark.parametrize(
    ("probability", "may_learn"), [(0.85, True), (0.75, False), (0.45, False), (0.05, False)]
)
def test_only_what_is_surely_seen_is_learned(
    evidence: Make,
    state: TrackState,
    good: float,
    probability: float,
    may_learn: bool,
) -> None:
    before = Belief(state, 0.5, 0.5, usual=Usual(Means(0.7, 0.8), Means(0.6, 0.7)))
    find = saying(evidence, probability, good)
    verdict = judged(before, find, TOLD, CONFIG)
    assert verdict.may_learn is may_learn
    seen = probability >= 0.5
    assert verdict.belief.usual == before.usual.after(find, seen, may_learn)
    assert (verdict.belief.usual.sure != before.usual.sure) is may_learn
    assert (verdict.belief.usual.lately != before.usual.lately) is seen


@pytest.mark.parametrize(
    ("state", "presence", "judgement", "sure"),
    [
        (TrackState.TRACKING, 0.65, True, True),
        (TrackState.TRACKING, 0.64, True, False),
        (TrackState.UNCERTAIN, 0.99, True, False),
        (TrackState.TRACKING, 0.1, False, True),
    ],
)
def test_a_place_counts_if_the_target_was_seen_there_beyond_doubt(
    state: TrackState, presence: float, judgement: bool, sure: bool
) -> None:
    config = TrackerConfig(judgement=judgement)
    assert is_sure(Belief(state, presence), config) is sure


@pytest.mark.parametrize("fallen", [{"peak": 0.3}, {"likeness": 0.4}])
def test_a_cover_is_not_learned_however_sure_the_past_was(
    evidence: Make, fallen: dict[str, float]
) -> None:
    """In the frame in which it comes, presence is still high: what was known counts."""
    made = verifier({}, carry=1.0)
    before = Belief(presence=0.99, usual=Usual(Means(0.8, 0.9), Means(0.8, 0.9)))
    covered, seen = (judged(before, evidence(**values), made) for values in (fallen, {}))
    assert covered.belief.presence == seen.belief.presence > CONFIG.learning_threshold
    assert seen.may_learn and not covered.may_learn
    assert covered.belief.usual.sure == before.usual.sure


@pytest.mark.parametrize(
    ("before", "known", "odds", "state", "follow"),
    [
        (TrackState.LOST, 0.01, 0.5, TrackState.LOST, True),
        (TrackState.LOST, 0.01, -1.0, TrackState.LOST, True),
        (TrackState.LOST, 0.01, -2.0, TrackState.LOST, False),
        (TrackState.LOST, 0.01, 5.5, TrackState.TRACKING, True),
        (TrackState.UNCERTAIN, 0.3, -0.5, TrackState.UNCERTAIN, True),
        (TrackState.UNCERTAIN, 0.6, -1.6, TrackState.UNCERTAIN, True),
        (TrackState.TRACKING, 0.9, -1.4, TrackState.TRACKING, True),
        (TrackState.TRACKING, 0.9, -3.0, TrackState.UNCERTAIN, True),
        (TrackState.TRACKING, 0.9, -6.0, TrackState.LOST, False),
    ],
)
def test_the_box_follows_what_is_likely_enough_for_the_state(
    evidence: Make,
    before: TrackState,
    known: float,
    odds: float,
    state: TrackState,
    follow: bool,
) -> None:
    """In doubt sooner than lost: what was known still counts for it."""
    made = verifier({PRESENCE: 1.0, QUALITY: 1.0}, carry=1.0)
    # Two features, as one alone cannot say more than 4.
    find = evidence(**{PRESENCE: odds / 2, QUALITY: odds / 2})
    verdict = judged(Belief(before, known, known), find, made, CONFIG)
    assert verdict.belief.state is state
    assert verdict.follow is follow


def test_it_is_lost_only_after_some_frames_in_which_it_was_not_seen(evidence: Make) -> None:
    """Until then the box follows all but what is surely something else."""
    config = replace(CONFIG, lost_after=4)
    belief, states, follows = Belief(), [], []
    for probability in (0.02, 0.02, 0.9, 0.02, 0.02, 0.02, 0.02, 0.02):
        verdict = judged(belief, saying(evidence, probability, 0.5), TOLD, config)
        belief = verdict.belief
        states.append(str(belief.state))
        follows.append(verdict.follow)
    doubt = ["uncertain"] * 3
    assert states == ["uncertain", "uncertain", "tracking", *doubt, "lost", "lost"]
    assert follows == [True] * 6 + [False] * 2
    surely_not = saying(evidence, 0.01, 0.5)
    assert not judged(Belief(TrackState.UNCERTAIN, 0.3), surely_not, TOLD, config).follow


def test_of_several_finds_the_likeliest_is_chosen_not_the_highest(evidence: Make) -> None:
    """By the presence: a good box of something else is of no use."""
    made = verifier({"peak": 1.0, "likeness_drop": 4.0}, {"predicted_iou": 4.0})
    higher = evidence(peak=0.9, likeness=0.3, predicted_iou=1.0)
    alike = evidence(peak=0.6, likeness=0.9, predicted_iou=0.2)
    belief = Belief(TrackState.LOST, usual=Usual(lately=Means(0.8, 0.9)))
    assert chosen([higher, alike], belief, made) == 1
    assert chosen([alike, higher, alike], belief, made) == 0
    # Likenesses count against what was found lately, as the belief has it.
    by_drop = verifier({"peak": 1.0, "likeness_drop": 0.4})
    for lately, best in ((0.9, 1), (0.3, 0)):
        before = replace(belief, usual=Usual(lately=Means(0.8, lately)))
        assert chosen([higher, alike], before, by_drop) == best


def test_of_one_find_or_none_there_is_nothing_to_choose(evidence: Make) -> None:
    assert choose([], Belief(), PLAIN_VERIFIER) is None
    assert chosen([evidence(peak=0.0)], Belief(), PLAIN_VERIFIER) == 0


def test_without_judgement_nothing_is_ever_in_doubt(evidence: Make) -> None:
    belief = Belief()
    for peak in (0.9, 0.0, -0.5):
        find = evidence(peak=peak, second_peak=2.0, likeness=0.0, distance=50.0)
        verdict = judged(belief, find, PLAIN_VERIFIER, TrackerConfig.paper())
        assert verdict.belief.state is TrackState.TRACKING
        assert verdict.belief.score == pytest.approx(plain_score(find))
        assert verdict.belief.presence == verdict.belief.score
        assert verdict.follow and verdict.may_learn
        belief = verdict.belief
    nothing = judged(belief, None, PLAIN_VERIFIER, TrackerConfig.paper())
    assert not nothing.follow and nothing.belief.score == nothing.belief.presence == 0.0


@pytest.mark.parametrize(
    ("peak", "predicted_iou", "score"),
    [(0.8, 0.5, 0.4), (1.3, 1.0, 1.0), (-0.2, 0.9, 0.0), (0.7, math.nan, 0.7)],
)
def test_the_plain_score_is_the_peak_times_the_predicted_iou(
    evidence: Make, peak: float, predicted_iou: float, score: float
) -> None:
    find = evidence(peak=peak, predicted_iou=predicted_iou)
    assert plain_score(find) == pytest.approx(score)


def test_the_plain_verifier_tells_a_good_find_from_none(evidence: Make) -> None:
    good = judged(Belief(), evidence(), PLAIN_VERIFIER, CONFIG)
    assert good.belief.state is TrackState.TRACKING and good.may_learn
    belief = good.belief
    poor = evidence(peak=0.05, second_peak=0.05, predicted_iou=0.2)
    for _ in range(5):
        belief = judged(belief, poor, PLAIN_VERIFIER, CONFIG).belief
    assert belief.state is TrackState.LOST
    assert belief.score < 0.5 * belief.presence  # nor is its box any good


def test_the_plain_verifier_believes_a_box_by_its_predicted_iou(evidence: Make) -> None:
    scores = [
        judged(Belief(), evidence(predicted_iou=iou), PLAIN_VERIFIER, CONFIG).belief.score
        for iou in (0.2, 0.5, 0.8)
    ]
    assert scores == sorted(scores) and scores[-1] > scores[0] + 0.3


@pytest.mark.parametrize(
    ("state", "likeness", "found"),
    [
        (TrackState.LOST, 0.9, True),
        (TrackState.LOST, 0.4, False),
        (TrackState.UNCERTAIN, 0.4, True),
    ],
)
def test_a_lost_target_is_found_by_what_is_as_usual_or_by_much_evidence(
    evidence: Make, state: TrackState, likeness: float, found: bool
) -> None:
    before = Belief(state, presence=0.5, usual=Usual(Means(0.8, 0.9), Means(0.8, 0.9)))
    find = evidence(likeness=likeness)
    some, much = (
        judged(before, find, verifier({}, bias=bias), CONFIG).belief for bias in (1.0, 2.0)
    )
    assert (some.state is TrackState.TRACKING) is found
    assert much.state is TrackState.TRACKING


def test_a_find_where_a_rival_stands_is_doubted_unless_it_looks_like_the_target(
    evidence: Make,
) -> None:
    def odds(**values: float) -> float:
        choice = choose([evidence(**values)], Belief(), PLAIN_VERIFIER)
        assert choice is not None
        return choice.odds

    free = odds(distance=1.0, rival_nearness=0.0)
    for others, doubt in ((0.0, 1.0), (0.75, 1.0), (0.675, 0.5), (0.6, 0.0), (-0.1, 0.0)):
        find = {"likeness": 0.9, "rival_likeness": others}
        taken = odds(distance=1.0, rival_nearness=1.0, **find)
        assert taken - free == pytest.approx(-2.5 * doubt)
    # Of two finds as good as each other it is the other one.
    both = [evidence(distance=1.0, rival_nearness=1.0), evidence(distance=1.0)]
    choice = choose(both, Belief(), PLAIN_VERIFIER)
    assert choice is not None and choice.place == 1


def test_a_lost_targets_find_that_is_doubted_must_be_surer(evidence: Make) -> None:
    """As one that is not as usual: a rival may look all as the target is wont to."""
    before = Belief(TrackState.LOST, 0.0, usual=Usual(sure=Means(0.8, 0.9)))
    free = saying(evidence, 0.6)
    taken = replace(free, rival_nearness=0.5)
    assert judged(before, free, TOLD).belief.state is TrackState.TRACKING
    # The same odds for both: what is doubted has gathered them otherwise.
    undoubted = choose([free], before, TOLD)
    assert undoubted is not None
    same = undoubted._replace(evidence=taken)
    assert judge(before, same, TOLD, CONFIG).belief.state is TrackState.LOST
    seen = replace(before, state=TrackState.UNCERTAIN)
    assert judge(seen, same, TOLD, CONFIG).belief.state is TrackState.TRACKING


def test_a_find_of_other_colours_is_doubted(evidence: Make) -> None:
    usual = Usual(sure=Means(0.8, 0.9, colours=0.9))

    def odds(colours: float) -> float:
        found = choose([evidence(colour_likeness=colours)], Belief(usual=usual), PLAIN_VERIFIER)
        assert found is not None
        return found.odds

    same = odds(1.0)
    assert odds(0.9 * 0.8) == pytest.approx(same)  # light changes, and what is behind it
    assert odds(0.9 * 0.725) == pytest.approx(same - 1.5)
    assert odds(0.9 * 0.65) == odds(0.0) == pytest.approx(same - 3.0)
    both = [evidence(colour_likeness=0.4), evidence(peak=0.6)]
    choice = choose(both, Belief(usual=usual), PLAIN_VERIFIER)
    assert choice is not None and choice.place == 1


@pytest.mark.parametrize(
    ("other", "doubted"), [(0.0, 1.0), (0.8, 1.0), (0.675, 0.5), (0.6, 0.0), (-0.2, 0.0)]
)
def test_whose_look_is_the_targets_alone_may_have_other_colours(
    evidence: Make, other: float, doubted: float
) -> None:
    """Light changes them; where nothing is known beside the target (0), its look says little."""
    usual = Usual(sure=Means(0.8, 0.9, colours=0.9))
    same, changed = (
        evidence(likeness=0.9, rival_likeness=other, colour_likeness=colours)
        for colours in (0.9, 0.4)
    )
    assert doubt_of(same, usual) == 0.0
    assert doubt_of(changed, usual) == pytest.approx(-3.0 * doubted)


def test_a_find_that_looks_like_what_stood_beside_the_target_is_doubted(evidence: Make) -> None:
    def doubted(own: float, other: float, distance: float) -> float:
        finds = [evidence(likeness=own, rival_likeness=o, distance=distance) for o in (0.0, other)]
        alone, beside = (choose([find], Belief(), PLAIN_VERIFIER) for find in finds)
        assert alone is not None and beside is not None
        return beside.odds - alone.odds

    far = 5.0
    assert doubted(0.6, 0.55, far) == pytest.approx(0.0, abs=1e-6)
    assert doubted(0.6, 0.6, far) == pytest.approx(-3.0 * 0.2, abs=1e-5)
    assert doubted(0.6, 0.8, far) == pytest.approx(-3.0, abs=1e-6)
    assert doubted(0.6, 0.9, far) == pytest.approx(-3.0)
    # A target that changes may look more like its neighbour for a while, where it should be.
    assert doubted(0.6, 0.75, 0.0) == pytest.approx(0.0, abs=1e-6)
    assert doubted(0.6, 0.8, 0.0) == pytest.approx(-3.0 * 0.2)
    assert doubted(0.6, 1.0, 0.0) == pytest.approx(-3.0)
    other = evidence(likeness=0.7, rival_likeness=0.9, distance=1.0)
    both = [other, evidence(likeness=0.6, peak=0.6, distance=1.0)]
    choice = choose(both, Belief(), PLAIN_VERIFIER)
    assert choice is not None and choice.place == 1


def test_an_awaited_target_takes_more_to_be_found_until_it_was_seen(evidence: Make) -> None:
    """Nothing tells where it should be, or that it is there at all."""
    lost = Belief(TrackState.LOST, 0.0, 0.0)
    awaited = replace(lost, awaited=True)
    assert judged(lost, saying(evidence, 0.6), TOLD).belief.state is TrackState.TRACKING
    doubted = judged(awaited, saying(evidence, 0.6), TOLD).belief
    assert doubted.state is TrackState.LOST and doubted.awaited
    found = judged(doubted, saying(evidence, 0.85), TOLD).belief
    assert found.state is TrackState.TRACKING and not found.awaited
    # Seen once, it is as any other.
    assert judged(found, saying(evidence, 0.6), TOLD).belief.state is TrackState.TRACKING
