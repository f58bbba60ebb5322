"""What a target's regressor remembers of the frames it has seen, and the regressor solved from it.

    paper Eq. 6:  X_t = (1 - delta) X_{t-1} + delta X~_t      (`AverageMemory`)
    paper Eq. 7:  w_t = argmin |X_t w - y|^2 + lambda |w|^2

(The paper prints beta for delta in the text.) `GramMemory` instead keeps every frame's samples
apart in a weighted least squares problem, sum_k c_k |X_k w - y_k|^2 + lambda |w|^2, whose normal
equations need only running means of X^T X and X^T y. Of these it has three: of the first frame,
of all verified frames (slow), and of the newest (fast); they are mixed with fixed shares, so what
the target was given as is never forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from dcfst_core.network.ridge import ridge_solve, solve_normal_equations
from dcfst_core.tracking.config import TrackerConfig


class SampleMemory(Protocol):
    """The samples of one target's frames, in whatever form."""

    def add(
        self,
        x: Tensor,
        y: Tensor,
        frames: int,
        config: TrackerConfig,
        weight: Tensor | None = None,
    ) -> None:
        """Blend in a frame's samples `x` (1, N, D), labels `y` (1, N), `frames` after the last.

        `weight`: (1, N) of the samples; None is one each.
        """

    def solve(self, config: TrackerConfig, anchored: bool = False) -> Tensor:
        """The regressor w (1, D); `anchored`: without the newest frames' own part.

        Raises SolverError where the samples are not finite.
        """

    def forget(self) -> None:
        """Go back to the first frame alone."""


def start_memory(
    x: Tensor, y: Tensor, config: TrackerConfig, samples: int | None = None
) -> SampleMemory:
    """Begin with samples `x` (K, N, D), labels `y` (K, N) of K copies of the first frame.

    `samples`: so many a frame stands for, whatever N is, beside lambda; None: N. It means nothing
    to a mean of data matrices, whose N stays as it is.
    """
    if config.memory == "average":
        return AverageMemory(x, y)
    return GramMemory(x, y, x.shape[1] if samples is None else samples)


def compounded(rate: float, frames: int) -> float:
    """The weight of a new frame that stands for `frames` of them."""
    return 1 - (1 - rate) ** frames


class AverageMemory:
    """The paper's: one running mean of data matrices of one shape, with a floor for the first."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self._first = (_mean(x), _mean(y))
        self.forget()

    def forget(self) -> None:
        """See `SampleMemory.forget`."""
        self._running = (self._first[0].clone(), self._first[1].clone())
        self._first_share = 1.0

    def add(
        self,
        x: Tensor,
        y: Tensor,
        frames: int,
        config: TrackerConfig,
        weight: Tensor | None = None,
    ) -> None:
        """See `SampleMemory.add`; a mean of data matrices knows no weights of samples."""
        rate = compounded(config.learning_rate, frames)
        for running, new in zip(self._running, (_mean(x), _mean(y)), strict=True):
            running.lerp_(new, rate)
        self._first_share *= 1 - rate

    def solve(self, config: TrackerConfig, anchored: bool = False) -> Tensor:
        """See `SampleMemory.solve`."""
        missing = config.first_frame_share - self._first_share
        # So much of the first frame that its whole share equals the floor.
        amount = max(missing / (1 - self._first_share), 0.0) if missing > 0 else 0.0
        x, y = (
            torch.lerp(running, first, amount)
            for running, first in zip(self._running, self._first, strict=True)
        )
        return ridge_solve(x, y, config.regularization)


class Sums(NamedTuple):
    """X^T X (1, D, D) and X^T y (1, D) of some frames, each frame with the weight of the first."""

    gram: Tensor
    moment: Tensor


class GramMemory:
    """Three running means of normal equations; see the module's text."""

    def __init__(self, x: Tensor, y: Tensor, samples: int) -> None:
        self._samples = samples
        self.first = self._sums(x, y, None)
        self.forget()

    @classmethod
    def restored(cls, first: Sums, lasting: Sums, frames: int, samples: int) -> GramMemory:
        """A memory of another run's sums, of `samples` a frame; they are copied.

        The newest frames' part begins with the lasting one.
        """
        memory = cls.__new__(cls)
        memory._samples = samples
        memory.first, memory.lasting, memory.recent = (
            _copy(sums) for sums in (first, lasting, lasting)
        )
        memory.frames = frames
        return memory

    def forget(self) -> None:
        """See `SampleMemory.forget`."""
        self.lasting = _copy(self.first)
        self.recent = _copy(self.first)
        self.frames = 0
        """Frames that `lasting` stands for beside the first."""

    def add(
        self,
        x: Tensor,
        y: Tensor,
        frames: int,
        config: TrackerConfig,
        weight: Tensor | None = None,
    ) -> None:
        """See `SampleMemory.add`; takes any number N of samples."""
        new = self._sums(x, y, weight)
        for sums, rate in (
            (self.lasting, config.learning_rate),
            (self.recent, config.recent_rate),
        ):
            for running, value in zip(sums, new, strict=True):
                running.lerp_(value, compounded(rate, frames))
        self.frames += frames

    def solve(self, config: TrackerConfig, anchored: bool = False) -> Tensor:
        """See `SampleMemory.solve`."""
        recent = 0.0 if anchored else config.recent_share
        shares = (config.first_frame_share, 1 - config.first_frame_share - recent, recent)
        gram, moment = (
            _weighted_sum(parts, shares)
            for parts in zip(self.first, self.lasting, self.recent, strict=True)
        )
        return solve_normal_equations(gram, moment, config.regularization)

    def _sums(self, x: Tensor, y: Tensor, weight: Tensor | None) -> Sums:
        x, y = x.float().flatten(0, 1), y.float().flatten()
        # Every frame weighs the same, however many samples of it are given.
        share = self._samples / len(x)
        weighted = x if weight is None else x * weight.flatten()[:, None]
        return Sums(share * (weighted.mT @ x)[None], share * (y @ weighted)[None])


def _mean(value: Tensor) -> Tensor:
    return value.float().mean(dim=0, keepdim=True)


def _weighted_sum(parts: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    total = parts[0] * shares[0]
    for part, share in zip(parts[1:], shares[1:], strict=True):
        if share:
            total.add_(part, alpha=share)
    return total


def _copy(sums: Sums) -> Sums:
    return Sums(sums.gram.clone(), sums.moment.clone())
