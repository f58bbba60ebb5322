"""The verifier: what one find's evidence says of whose it is, as log-odds.

Two logistic regressions on `evidence.FEATURES`: is the find the target, and is its box a good one
if it is. Weights, carry and scales are fitted by `dcfst-train judge` and come with the network's
weights, one set for each size of the picture that was fitted: what a smaller one shows is less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcfst_core.errors import CheckpointError
from dcfst_core.tracking.evidence import FEATURES

# No find says more than this: e^-6 is one in 400. What was known says more still, up to e^13.8.
MOST_ODDS = 6.0
# What it says that nothing was found where the target can be.
NOTHING_ODDS = -3.0


@dataclass(frozen=True)
class Verifier:
    """The fitted weights; `FEATURES` names what they weigh.

    odds = bias + sum weight * clip((feature - mean) / deviation, -4, 4), for the presence and,
    with the quality's own weights and bias, for the box.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    weight: tuple[float, ...]
    bias: float
    carry: float
    quality_weight: tuple[float, ...]
    quality_bias: float

    def odds(self, values: Sequence[float]) -> tuple[float, float]:
        """Log-odds that a find with these features is the target, and that its box is good."""
        presence, quality = self.bias, self.quality_bias
        for value, mean, deviation, weight, other in zip(
            values, self.mean, self.deviation, self.weight, self.quality_weight, strict=True
        ):
            scaled = min(max((value - mean) / deviation, -4.0), 4.0)
            presence += weight * scaled
            quality += other * scaled
        return _bounded(presence), _bounded(quality)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any], patch_size: int) -> Verifier:
        """The verifier in a checkpoint's metadata that was fitted to the nearest `patch_size`.

        `PLAIN_VERIFIER` where there is none. Raises CheckpointError for one that does not fit
        `FEATURES`.
        """
        try:
            fitted = {int(size): one for size, one in metadata.get("verifiers", {}).items()}
            if not fitted:
                return PLAIN_VERIFIER
            nearest = min(fitted, key=lambda size: abs(math.log(size / patch_size)))
            return cls._checked(fitted[nearest])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"expected a verifier of {len(FEATURES)} features in the weights' metadata; got "
                f"{error}: fit it again for this version with `dcfst-train judge`"
            ) from error

    @classmethod
    def _checked(cls, given: Mapping[str, Any]) -> Verifier:
        if tuple(given["features"]) != FEATURES:
            raise ValueError(f"features {given['features']}")
        rows = {name: tuple(float(value) for value in given[name]) for name in _ROWS}
        numbers = {name: float(given[name]) for name in _NUMBERS}
        if {len(row) for row in rows.values()} != {len(FEATURES)}:
            raise ValueError("rows of another length")
        values = [value for row in rows.values() for value in row] + list(numbers.values())
        if not all(map(math.isfinite, values)) or min(rows["deviation"]) <= 0:
            raise ValueError("numbers that are not finite, or deviations that are not positive")
        return cls(
            mean=rows["mean"],
            deviation=rows["deviation"],
            weight=rows["weight"],
            quality_weight=rows["quality_weight"],
            **numbers,
        )

    def to_metadata(self) -> dict[str, Any]:
        """Plain values, as `from_metadata` reads them."""
        rows = {name: list(getattr(self, name)) for name in _ROWS}
        return {"features": list(FEATURES), **rows, **{n: getattr(self, n) for n in _NUMBERS}}


_ROWS = ("mean", "deviation", "weight", "quality_weight")
_NUMBERS = ("bias", "carry", "quality_bias")


def _plain_verifier() -> Verifier:
    """Peak, rival and predicted IoU by hand: for weights without a fitted verifier."""
    means = {"peak": 0.3, "rival": 0.5, "predicted_iou": 0.55}
    weights = {"peak": 1.0, "rival": -0.7, "predicted_iou": 0.7}
    return Verifier(
        mean=tuple(means.get(name, 0.0) for name in FEATURES),
        deviation=tuple(0.2 if name in weights else 1.0 for name in FEATURES),
        weight=tuple(weights.get(name, 0.0) for name in FEATURES),
        bias=1.0,
        carry=0.5,
        quality_weight=tuple(float(name == "predicted_iou") for name in FEATURES),
        quality_bias=0.5,
    )


PLAIN_VERIFIER = _plain_verifier()


def _bounded(odds: float) -> float:
    # Numbers that are none, of a damaged model, are no evidence for anything.
    return min(max(odds, -MOST_ODDS), MOST_ODDS) if math.isfinite(odds) else NOTHING_ODDS
