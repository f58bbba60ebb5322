"""A target's width and height through time: fast where the evidence is good, slow where not.

A Kalman filter on log width and log height, with a random walk as its motion: how far a size may
change from one frame to the next is a setting, and where the flow of points tells how far it did
(`tracking.growth`), that much is taken from there. How well the refined box tells the size is
measured in each frame, from how far the refined boxes lie apart and from their predicted IoU.

A box that is a little too small is learned, and makes the next one smaller: such errors add up
over hundreds of frames. So size and aspect are drawn to those of the given box, weakly: what is
measured outweighs that many times, an error that feeds itself does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dcfst_core.tracking.growth import Growth

_FIRST_DEVIATION = 0.05
# A growth that is measured is believed as far as it is surer than this, the standard deviation of
# growths: most targets keep their size, but some come nearer by more than a tenth a frame.
_GROWTH_DEVIATION = 0.1
# However long it is not measured, a log size is known within that.
_MOST_DEVIATION = 0.3
# The aspect of an object changes less than its size, and returns so many times as fast.
_ASPECT_RETURN = 2.0
# Deviations from what is expected beyond this are taken for errors of the predictor.
_SURPRISE = 2.0


@dataclass(frozen=True)
class Shape:
    """The filter's state: the log sizes, their common variance, and those given at first."""

    log_width: float
    log_height: float
    variance: float
    given: tuple[float, float]

    @classmethod
    def start(cls, width: float, height: float) -> Shape:
        """The given box is exact but for the hand that drew it."""
        given = (math.log(width), math.log(height))
        return cls(*given, _FIRST_DEVIATION**2, given)

    @property
    def width(self) -> float:
        """Pixels."""
        return math.exp(self.log_width)

    @property
    def height(self) -> float:
        """Pixels."""
        return math.exp(self.log_height)

    def expected(self, drift: float, growth: Growth | None = None) -> Shape:
        """The state in the next frame, before the size is measured there.

        `drift`: standard deviation of a log size's change in one frame; `growth`: what is known of
        the present one.
        """
        if growth is None:
            return replace(self, variance=min(self.variance + drift**2, _MOST_DEVIATION**2))
        error2 = growth.deviation**2
        believed = _GROWTH_DEVIATION**2 / (_GROWTH_DEVIATION**2 + error2)
        return replace(
            self,
            log_width=self.log_width + believed * growth.log_width,
            log_height=self.log_height + believed * growth.log_height,
            variance=min(self.variance + min(believed * error2, drift**2), _MOST_DEVIATION**2),
        )

    def measured(self, width: float, height: float, noise: float, back: float = 0.0) -> Shape:
        """The state after a refined box of this size.

        `noise`: standard deviation of the measurement's error, of log sizes; `back`: the share of
        the way to the given size that it returns. A measurement far off counts less, as a Huber
        loss would have it.
        """
        variance = self.variance
        moves = [math.log(width) - self.log_width, math.log(height) - self.log_height]
        noise2 = noise**2
        surprise = max(map(abs, moves)) / math.sqrt(variance + noise2)
        if surprise > _SURPRISE:
            noise2 *= surprise / _SURPRISE
        gain = variance / (variance + noise2)
        width_off = self.log_width + gain * moves[0] - self.given[0]
        height_off = self.log_height + gain * moves[1] - self.given[1]
        size_back = back * (width_off + height_off) / 2
        aspect_back = _ASPECT_RETURN * back * (width_off - height_off) / 2
        return replace(
            self,
            log_width=self.given[0] + width_off - size_back - aspect_back,
            log_height=self.given[1] + height_off - size_back + aspect_back,
            variance=(1 - gain) * variance,
        )


def measurement_noise(floor: float, spread: float, predicted_iou: float) -> float:
    """Standard deviation of a refined box's log size.

    `floor`: of the best measurement; `spread`: of the refined boxes that were averaged;
    `predicted_iou` in [0, 1].
    """
    return math.hypot(floor, spread) / max(predicted_iou, 0.2)
