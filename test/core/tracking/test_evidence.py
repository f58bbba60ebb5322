"""The features that the verifier weighs, and what is usual for a target."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest

from dcfst_core.track import Evidence
from dcfst_core.tracking.evidence import FEATURES, Usual, features

Make = Callable[..., Evidence]


def named(evidence: Evidence, usual: Usual | None = None) -> dict[str, float]:
    return dict(zip(FEATURES, features(evidence, usual or Usual()), strict=True))


def test_each_feature_is_what_its_name_says(evidence: Make) -> None:
    found = named(
        evidence(
            peak=0.6,
            second_peak=0.3,
            sharpness=1.2,
            predicted_iou=0.7,
            box_spread=0.03,
            likeness_first=0.5,
            likeness=0.6,
            novelty=0.1,
            distance=0.5,
            size_change=0.2,
            aspect_change=0.1,
        ),
        Usual(peak=0.5, likeness=0.8),
    )
    expected = {
        "peak": 0.6,
        "relative_peak": 1.2,
        "rival": 0.5,
        "sharpness": 1.2,
        "predicted_iou": 0.7,
        "box_spread": math.log(0.04),
        "likeness_first": 0.5,
        "relative_likeness": 0.75,
        "novelty": 0.1,
        "distance": math.log(1.5),
        "size_change": 0.2,
        "aspect_change": 0.1,
        "peak_x_likeness": 0.45,
    }
    assert found == pytest.approx(expected)


def test_features_stay_within_bounds_whatever_is_found(evidence: Make) -> None:
    least = named(evidence(peak=-0.4, second_peak=-math.inf, predicted_iou=math.nan, box_spread=0))
    assert (least["peak"], least["rival"]) == (0.0, 0.0)
    most = named(evidence(peak=7.0, second_peak=0.0))
    assert most["peak"] == 1.5
    assert named(evidence(peak=0.0, second_peak=0.9))["rival"] == 2.0
    assert all(math.isfinite(value) for found in (least, most) for value in found.values())


def test_usual_values_begin_at_no_more_than_is_typical(evidence: Make) -> None:
    assert Usual().with_seen(evidence(peak=1.3, likeness=1.0)) == Usual(0.8, 0.9)
    assert Usual().with_seen(evidence(peak=0.4, likeness=0.5)) == Usual(0.4, 0.5)


def test_usual_values_follow_slowly_and_nothing_low_becomes_usual(evidence: Make) -> None:
    usual = Usual(0.8, 0.9)
    once = usual.with_seen(evidence(peak=0.3, likeness=0.4))
    assert once.peak == pytest.approx(0.8 - 0.04 * 0.5)
    assert once.likeness == pytest.approx(0.9 - 0.04 * 0.5)
    assert usual == Usual(0.8, 0.9)  # a value, not a counter
    for _ in range(500):
        usual = usual.with_seen(evidence(peak=0.05, likeness=0.1))
    assert usual.peak == pytest.approx(0.05, abs=1e-3)
    assert usual.relative_peak(0.125) == pytest.approx(0.5)  # of the floor, 0.25
    assert usual.relative_likeness(0.15) == pytest.approx(0.5)  # of the floor, 0.3


def test_before_anything_was_seen_the_typical_is_usual() -> None:
    assert Usual().relative_peak(0.4) == pytest.approx(0.5)
    assert Usual().relative_likeness(0.45) == pytest.approx(0.5)


def test_usual_values_cannot_be_written() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Usual().peak = 1.0  # type: ignore[misc]
