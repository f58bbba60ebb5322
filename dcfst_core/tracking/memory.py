"""What a target's regressor remembers of the frames it has seen, and the regressor solved from it.

    paper Eq. 6:  X_t = (1 - delta) X_{t-1} + delta X~_t      (kind "average")
    paper Eq. 7:  w_t = argmin |X_t w - y|^2 + lambda |w|^2

(The paper prints beta for delta in the text.) Kind "gram" instead keeps every frame's samples
apart in a weighted least squares problem, sum_k c_k |X_k w - y_k|^2 + lambda |w|^2, whose normal
equations need only the running means of X^T X and X^T y.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dcfst_core.network.ridge import ridge_solve, solve_normal_equations


class SampleMemory:
    """The running combination of data matrices of one target."""

    def __init__(self, kind: str, first_frame_floor: float) -> None:
        self.kind = kind
        self.first_frame_floor = first_frame_floor
        self._first: tuple[Tensor, Tensor] | None = None
        self._running: tuple[Tensor, Tensor] | None = None
        self._first_share = 1.0
        self._samples = 0

    def start(self, x: Tensor, y: Tensor) -> None:
        """Begin with samples `x` (K, N, D), labels `y` (K, N) of K copies of the first frame."""
        self._samples = x.shape[1]
        self._first = self._summary(x, y)
        self._running = tuple(value.clone() for value in self._first)  # type: ignore[assignment]
        self._first_share = 1.0

    def add(self, x: Tensor, y: Tensor, learning_rate: float) -> None:
        """Blend in a frame's samples `x` (1, N, D), labels `y` (1, N) with weight delta.

        Kind "gram" takes any number N of samples.
        """
        assert self._running is not None, "start() comes before add()"
        for running, new in zip(self._running, self._summary(x, y), strict=True):
            running.lerp_(new, learning_rate)
        self._first_share *= 1 - learning_rate

    def solve(self, regularization: float) -> Tensor:
        """The ridge regressor w (1, D) of all that is remembered."""
        left, right = self._combined()
        if self.kind == "gram":
            return solve_normal_equations(left, right, regularization)
        return ridge_solve(left, right, regularization)

    def _summary(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x, y = x.float(), y.float()
        if self.kind == "average":
            return x.mean(dim=0, keepdim=True), y.mean(dim=0, keepdim=True)
        flat_x, flat_y = x.flatten(0, 1), y.flatten(0, 1)
        # Every frame weighs as much as the first, however many samples of it are given.
        weight = self._samples / len(flat_x)
        return weight * (flat_x.mT @ flat_x)[None], weight * (flat_y @ flat_x)[None]

    def _combined(self) -> tuple[Tensor, Tensor]:
        assert self._running is not None and self._first is not None, "start() comes first"
        if self._first_share >= self.first_frame_floor:
            return self._running
        # Mix in so much of the first frame that its whole share equals the floor.
        amount = (self.first_frame_floor - self._first_share) / (1 - self._first_share)
        left, right = (
            torch.lerp(running, first, amount)
            for running, first in zip(self._running, self._first, strict=True)
        )
        return left, right
