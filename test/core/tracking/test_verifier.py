"""The verifier: two regressions on one find's features, and its way in the weights' metadata."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from dcfst_core.errors import CheckpointError
from dcfst_core.track import Evidence
from dcfst_core.tracking.evidence import FEATURES, Usual, features
from dcfst_core.tracking.verifier import PLAIN_VERIFIER, Verifier

Make = Callable[..., Evidence]
ZEROS, ONES = (0.0,) * len(FEATURES), (1.0,) * len(FEATURES)
# It says even odds, whatever is found.
UNCONCERNED = Verifier(ZEROS, ONES, ZEROS, 0.0, 0.0, ZEROS, 0.0)


def test_the_verifier_is_two_clipped_standardised_sums() -> None:
    made = Verifier(
        mean=tuple(0.1 * k for k in range(len(FEATURES))),
        deviation=tuple(0.1 + 0.05 * k for k in range(len(FEATURES))),
        weight=tuple((-1) ** k * 0.1 * k for k in range(len(FEATURES))),
        bias=-0.3,
        carry=0.4,
        quality_weight=tuple(0.05 * (6 - k) for k in range(len(FEATURES))),
        quality_bias=0.7,
    )
    values = [0.05 * (k - 5) ** 2 for k in range(len(FEATURES))]
    presence, quality, clipped = -0.3, 0.7, 0
    for k, value in enumerate(values):
        standard = (value - 0.1 * k) / (0.1 + 0.05 * k)
        clipped += abs(standard) > 4
        standard = max(-4.0, min(4.0, standard))
        presence += (-1) ** k * 0.1 * k * standard
        quality += 0.05 * (6 - k) * standard
    assert clipped and -6 < presence < 6 and -6 < quality < 6
    assert abs(presence - quality) > 0.5
    assert made.odds(values) == pytest.approx((presence, quality))


def test_no_find_says_more_than_the_most(evidence: Make) -> None:
    values = features(evidence(), Usual())
    strong = replace(
        UNCONCERNED,
        weight=tuple(100.0 * (name == "peak") for name in FEATURES),
        quality_weight=tuple(-100.0 * (name == "peak") for name in FEATURES),
    )
    assert strong.odds(values) == (6.0, -6.0)
    with pytest.raises(ValueError, match="longer"):
        strong.odds(values[:-1])


@pytest.mark.parametrize("name", ["peak", "likeness", "box_spread", "distance"])
def test_numbers_that_are_none_are_no_evidence(evidence: Make, name: str) -> None:
    values = features(evidence(**{name: math.nan}), Usual())
    for made in (PLAIN_VERIFIER, UNCONCERNED):  # also where what is none has no weight
        assert made.odds(values) == (-3.0, -3.0)


def test_a_verifier_travels_in_the_weights_metadata() -> None:
    made = Verifier(
        mean=tuple(0.1 * k for k in range(len(FEATURES))),
        deviation=tuple(1.0 + k for k in range(len(FEATURES))),
        weight=tuple(0.3 - 0.1 * k for k in range(len(FEATURES))),
        bias=-0.3,
        carry=0.4,
        quality_weight=tuple(0.2 * k - 0.7 for k in range(len(FEATURES))),
        quality_bias=0.6,
    )
    for each in (made, PLAIN_VERIFIER):
        text = json.dumps(each.to_metadata(), allow_nan=False)
        assert Verifier.from_metadata({"verifiers": {"288": json.loads(text)}}, 288) == each
    assert Verifier.from_metadata({"note": "none"}, 288) == PLAIN_VERIFIER


@pytest.mark.parametrize(
    ("patch_size", "fitted_to"), [(288, 288), (640, 288), (240, 288), (224, 176), (96, 144)]
)
def test_the_verifier_of_the_nearest_size_is_taken(patch_size: int, fitted_to: int) -> None:
    made = {size: replace(UNCONCERNED, bias=size / 100) for size in (144, 176, 288)}
    metadata = {"verifiers": {str(size): one.to_metadata() for size, one in made.items()}}
    assert Verifier.from_metadata(metadata, patch_size) == made[fitted_to]


@pytest.mark.parametrize("name", [spec.name for spec in fields(Verifier)])
def test_a_verifier_without_one_of_its_parts_is_refused(name: str) -> None:
    described = PLAIN_VERIFIER.to_metadata()
    del described[name]
    with pytest.raises(CheckpointError, match=f"got '{name}': fit it again for this version"):
        Verifier.from_metadata({"verifiers": {"288": described}}, 288)


@pytest.mark.parametrize(
    "change",
    [
        {"features": ["peak"]},
        {"features": 3},
        {"features": list(reversed(FEATURES))},
        {"mean": [0.0]},
        {"quality_weight": [0.0] * (len(FEATURES) + 1)},
        {"weight": ["heavy"] * len(FEATURES)},
        {"deviation": [0.0] * len(FEATURES)},
        {"deviation": [-1.0] * len(FEATURES)},
        {"quality_weight": [math.inf] * len(FEATURES)},
        {"bias": math.nan},
        {"quality_bias": math.nan},
        {"quality_bias": "good"},
        {"carry": None},
        {"mean": None},
    ],
    ids=str,
)
def test_a_verifier_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    described = {**PLAIN_VERIFIER.to_metadata(), **change}
    with pytest.raises(CheckpointError, match=f"expected a verifier of {len(FEATURES)} features"):
        Verifier.from_metadata({"verifiers": {"288": described}}, 288)


@pytest.mark.parametrize("given", [["peak"], 1.0, {"large": {}}])
def test_verifiers_of_no_size_are_refused(given: object) -> None:
    with pytest.raises(CheckpointError, match="dcfst-train judge"):
        Verifier.from_metadata({"verifiers": given}, 288)


@pytest.mark.parametrize("described", [{}, [], "peak", 1.0])
def test_a_verifier_of_another_form_is_refused(described: object) -> None:
    with pytest.raises(CheckpointError, match="dcfst-train judge"):
        Verifier.from_metadata({"verifiers": {"288": described}}, 288)
