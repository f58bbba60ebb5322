"""The features that the verifier weighs, and what is usual for a target."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest

from dcfst_core.track import Evidence
from dcfst_core.tracking.evidence import FEATURES, Means, Usual, features

Make = Callable[..., Evidence]


def named(evidence: Evidence, usual: Usual | None = None) -> dict[str, float]:
    return dict(zip(FEATURES, features(evidence, usual or Usual()), strict=True))


def test_each_feature_is_what_its_name_says(evidence: Make) -> None:
    found = named(
        evidence(
            peak=0.6,
            second_peak=0.3,
            predicted_iou=0.7,
            box_spread=0.03,
            likeness_first=0.5,
            likeness=0.6,
            distance=0.5,
            size_change=0.2,
            aspect_change=0.1,
        ),
        Usual(sure=Means(peak=0.5, likeness=0.8), lately=Means(peak=0.75, likeness=0.4)),
    )
    expected = {
        "peak": 0.6,
        "relative_peak": 0.0,  # against what is surely its own: it has not fallen
        "peak_drop": math.log(0.8),  # against the frames just before
        "rival": 0.5,
        "predicted_iou": 0.7,
        "box_spread": math.log(0.04),
        "likeness_first": 0.5,
        "relative_likeness": math.log(0.75),
        "likeness_drop": 0.0,
        "distance": math.log(1.5),
        "size_change": 0.2,
        "aspect_change": 0.1,
    }
    assert found == pytest.approx(expected)


def test_features_stay_within_bounds_whatever_is_found(evidence: Make) -> None:
    nothing = Usual(Means(0.0, 0.0), Means(-0.3, -0.2))
    least = named(
        evidence(peak=-0.4, second_peak=-math.inf, predicted_iou=math.nan, box_spread=0), nothing
    )
    assert (least["peak"], least["rival"]) == (0.0, 0.0)
    assert least["predicted_iou"] == 0.7  # not refined: neither good nor bad
    most = named(evidence(peak=7.0, second_peak=0.0), nothing)
    assert most["peak"] == 1.5
    assert most["relative_peak"] == most["peak_drop"] == 0.0
    assert least["relative_peak"] == least["peak_drop"] == pytest.approx(math.log(0.1))
    assert named(evidence(peak=0.0, second_peak=0.9))["rival"] == 2.0
    assert all(math.isfinite(value) for found in (least, most) for value in found.values())


@pytest.mark.parametrize("part", ["sure", "lately"])
def test_before_anything_was_seen_the_typical_is_usual(evidence: Make, part: str) -> None:
    find = evidence(peak=0.4, likeness=0.45)
    for usual in (Usual(), Usual(**{part: Means(0.8, 0.9)})):
        found = named(find, usual)
        for name in ("relative_peak", "relative_likeness", "peak_drop", "likeness_drop"):
            assert found[name] == pytest.approx(math.log(0.5)), name


def test_nothing_low_becomes_usual(evidence: Make) -> None:
    low = Means(0.05, 0.1)
    found = named(evidence(peak=0.125, likeness=0.15), Usual(low, low))
    for name in ("relative_peak", "peak_drop"):
        assert found[name] == pytest.approx(math.log(0.5)), name  # of the floor, 0.25
    for name in ("relative_likeness", "likeness_drop"):
        assert found[name] == pytest.approx(math.log(0.5)), name  # of the floor, 0.3


def test_means_begin_at_no_more_than_is_typical(evidence: Make) -> None:
    assert Means.start(evidence(peak=1.3, likeness=1.0)) == Means(0.8, 0.9)
    assert Means.start(evidence(peak=0.4, likeness=0.5)) == Means(0.4, 0.5)


def test_means_move_by_their_rate(evidence: Make) -> None:
    before = Means(0.8, 0.9)
    after = before.moved(evidence(peak=0.3, likeness=0.4), 0.2)
    assert (after.peak, after.likeness) == (pytest.approx(0.7), pytest.approx(0.8))
    assert before == Means(0.8, 0.9)  # a value, not a counter
    low = evidence(peak=1.3, likeness=1.0, colour_likeness=0.5)
    assert before.moved(low, 1.0) == Means(1.3, 1.0, 0.5)


def test_the_sure_means_follow_slowly_what_was_surely_seen_and_nothing_else(
    evidence: Make,
) -> None:
    usual = Usual(Means(0.8, 0.9), Means(0.8, 0.9))
    find = evidence(peak=0.3, likeness=0.4)
    assert usual.after(find, seen=True, sure=False).sure == Means(0.8, 0.9)
    seen = usual.after(find, seen=True, sure=True).sure
    assert seen is not None
    assert seen.peak == pytest.approx(0.8 - 0.04 * 0.5)
    assert seen.likeness == pytest.approx(0.9 - 0.04 * 0.5)
    assert Usual().after(find, seen=True, sure=False).sure is None
    assert Usual().after(find, seen=True, sure=True).sure == Means(0.3, 0.4)
    high = evidence(peak=1.0, likeness=1.0)
    assert Usual().after(high, seen=True, sure=True).sure == Means(0.8, 0.9)


@pytest.mark.parametrize("sure", [False, True])
def test_the_late_means_follow_fast_what_is_seen(evidence: Make, sure: bool) -> None:
    first = Usual().after(evidence(peak=1.0, likeness=0.5), seen=True, sure=sure)
    assert first.lately == Means(0.8, 0.5)
    before = Usual(Means(0.8, 0.9), Means(0.8, 0.9))
    found = before.after(evidence(peak=0.3, likeness=0.4), seen=True, sure=sure)
    assert found.lately is not None
    assert found.lately.peak == pytest.approx(0.8 - 0.3 * 0.5)
    assert found.lately.likeness == pytest.approx(0.9 - 0.3 * 0.5)


def test_while_in_doubt_nothing_becomes_usual(evidence: Make) -> None:
    """Otherwise what covers it would be usual after a few frames, and its fall forgotten."""
    usual = Usual(Means(0.8, 0.9), Means(0.7, 0.8))
    cover = evidence(peak=0.2, likeness=0.3)
    assert usual.after(cover, seen=False, sure=False) == dataclasses.replace(usual, doubted=True)
    # But a target that is in doubt from the start has something to be compared with.
    begun = Usual(None, Means(0.2, 0.3), doubted=True)
    assert Usual().after(cover, seen=False, sure=False) == begun


def test_after_a_doubt_it_becomes_usual_slowly_until_it_is_sure_again(evidence: Make) -> None:
    """Or what was taken for it would soon be as usual as itself, though it is never learned."""
    doubted = Usual(Means(0.8, 0.9), Means(0.8, 0.9), doubted=True)
    other = evidence(peak=0.3, likeness=0.4)
    slowly = doubted.after(other, seen=True, sure=False)
    assert slowly.doubted and slowly.lately is not None
    assert slowly.lately.peak == pytest.approx(0.8 - 0.04 * 0.5)
    again = slowly.after(other, seen=True, sure=True)
    assert not again.doubted and again.lately is not None
    assert again.lately.peak == pytest.approx(0.78 - 0.3 * 0.48)


@pytest.mark.parametrize(
    ("peak", "likeness", "colours", "allowed"),
    [
        (0.49, 0.55, 0.58, True),
        (0.47, 0.9, 1.0, False),
        (0.8, 0.53, 1.0, False),
        (0.8, 0.9, 0.56, False),
        (1.2, 1.0, 1.0, True),
    ],
)
def test_what_has_fallen_is_not_to_be_learned(
    evidence: Make, peak: float, likeness: float, colours: float, allowed: bool
) -> None:
    find = evidence(peak=peak, likeness=likeness, colour_likeness=colours)
    assert Usual(sure=Means(0.8, 0.9)).allows(find) is allowed
    # A target that was never surely seen has no usual to fall from.
    assert Usual(lately=Means(0.8, 0.9)).allows(find)


@pytest.mark.parametrize(
    ("first", "iou", "allowed"),
    [
        (0.5, 0.8, True),
        (0.5, 0.4, True),  # half of the one
        (0.23, 0.8, True),  # half of the other
        (0.23, 0.6, False),  # both
        (0.15, 0.8, False),
        (0.5, 0.3, False),
        (0.15, math.nan, False),
        (0.9, math.nan, True),
    ],
)
def test_what_has_little_left_of_the_first_frame_is_not_to_be_learned(
    evidence: Make, first: float, iou: float, allowed: bool
) -> None:
    """A cover that came slowly is as usual in all else: it was learned bit by bit."""
    usual = Usual(sure=Means(0.8, 0.9, 0.95, likeness_first=0.5, predicted_iou=0.8))
    assert usual.allows(evidence(likeness_first=first, predicted_iou=iou)) is allowed


def test_a_target_that_is_unlike_its_first_look_for_long_is_learned_all_the_same(
    evidence: Make,
) -> None:
    usual = Usual(sure=Means(0.8, 0.9, 0.95, likeness_first=0.02, predicted_iou=0.8))
    assert usual.allows(evidence(likeness_first=0.0))
    find = evidence(likeness_first=0.3, predicted_iou=0.6)
    after = usual.after(find, seen=True, sure=True).sure
    assert after is not None
    assert after.likeness_first == pytest.approx(0.02 + 0.04 * 0.28)
    assert after.predicted_iou == pytest.approx(0.8 - 0.04 * 0.2)


@pytest.mark.parametrize("name", ["peak", "likeness", "colour_likeness"])
def test_after_a_doubt_more_is_asked_of_what_is_learned_again(evidence: Make, name: str) -> None:
    usual = Usual(Means(0.8, 0.8, 0.8), Means(0.8, 0.8, 0.8))
    less, near = ({**dict.fromkeys(("peak", "likeness"), 0.8), name: v} for v in (0.55, 0.65))
    assert usual.allows(evidence(**less))
    usual = usual.after(evidence(peak=0.1), seen=False, sure=False)
    assert not usual.allows(evidence(**less)) and usual.allows(evidence(**near))
    # Seen again is not enough: the doubt lasts until something was learned.
    usual = usual.after(evidence(**less), seen=True, sure=False)
    assert not usual.allows(evidence(**less))
    usual = usual.after(evidence(**near), seen=True, sure=True)
    assert usual.allows(evidence(**less))


def test_what_was_covered_drops_at_once_and_what_faded_did_not(evidence: Make) -> None:
    usual = Usual()
    for _ in range(30):
        usual = usual.after(evidence(peak=0.8, likeness=0.9), seen=True, sure=True)
    faded = usual
    for step in range(1, 31):  # to the half of it, step by step
        find = evidence(peak=0.8 - 0.4 * step / 30, likeness=0.9 - 0.45 * step / 30)
        faded = faded.after(find, seen=True, sure=False)
    covered, gone = (named(find, before) for before in (usual, faded))
    for drop, relative in (("peak_drop", "relative_peak"), ("likeness_drop", "relative_likeness")):
        half = pytest.approx(math.log(0.5), abs=2e-3)
        assert covered[drop] == half
        assert gone[drop] > math.log(0.9)
        assert covered[relative] == gone[relative] == half


def test_usual_values_cannot_be_written() -> None:
    for value, name in ((Usual(), "sure"), (Means(0.8, 0.9), "peak")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, None)
