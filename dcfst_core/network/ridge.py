"""Ridge regression in closed form, differentiable: paper Eq. 2 and 3.

    min_w |X w - y|^2 + lambda |w|^2

has the primal solution w = (X^T X + lambda I)^-1 X^T y and, by the Woodbury identity, the dual one
w = X^T (X X^T + lambda I)^-1 y. The smaller of the two systems is factorised (Cholesky, never an
inverse). (The paper prints lambda X for lambda I in Eq. 3.)

The derivative is that of the solution, not of the steps to it: with alpha = (X X^T + lambda I)^-1
y and beta = (X X^T + lambda I)^-1 X g, for the gradient g that comes in,

    dX = alpha (g - X^T beta)^T - beta w^T,    dy = beta,    dlambda = -alpha . beta,

one more solve with the factor at hand instead of a backward pass through the factorisation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dcfst_core.errors import SolverError

# Relative jitters tried, in turn, when rounding makes a system lose positive definiteness.
_JITTERS = (0.0, 1e-6, 1e-4)
# Side of the blocks in which a matrix is factorised on a CPU.
_BLOCK = 128


def ridge_solve(
    x: Tensor,
    y: Tensor,
    regularization: float | Tensor,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """The ridge regressor of a batch of data matrices, by the smaller of the two systems.

    `x`: (B, N, D) samples in rows; `y`: (B, N) labels; `regularization`: lambda > 0, one number or
    one for each of the batch (B,); `sample_weight`: (B, N) at least 0, how much each sample's
    squared error counts, 1 if None. Returns w (B, D), differentiable once in all of them.
    Half-precision inputs are solved in float32. Raises SolverError when no factorisation exists
    (non-finite samples).
    """
    samples, dimensions = x.shape[-2:]
    solve = ridge_solve_dual if samples < dimensions else ridge_solve_primal
    if sample_weight is not None:
        root = sample_weight.to(_at_least_float32(x).dtype).sqrt()
        x, y = x * root[..., None], y * root
    return solve(x, y, regularization)


def ridge_solve_dual(x: Tensor, y: Tensor, regularization: float | Tensor) -> Tensor:
    """w = X^T (X X^T + lambda I)^-1 y (Eq. 3): an N x N system. Shapes as in `ridge_solve`."""
    solution: Tensor = _Dual.apply(*_prepared(x, y, regularization))
    return solution


def ridge_solve_primal(x: Tensor, y: Tensor, regularization: float | Tensor) -> Tensor:
    """w = (X^T X + lambda I)^-1 X^T y (Eq. 2): a D x D system. Shapes as in `ridge_solve`."""
    solution: Tensor = _Primal.apply(*_prepared(x, y, regularization))
    return solution


def solve_normal_equations(gram: Tensor, moment: Tensor, regularization: float) -> Tensor:
    """w = (G + lambda I)^-1 m for G = X^T X (B, D, D) and m = X^T y (B, D); returns (B, D).

    Reads the lower triangle of `gram` and changes its diagonal.
    """
    factor = _factorise(gram, torch.full_like(moment[:, 0], regularization))
    return _solve(factor, moment)


class _Dual(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, regularization: Tensor) -> Tensor:
        factor = _factorise(_gram(x), regularization)
        alpha = _solve(factor, y)
        w = _times(x.mT, alpha)
        ctx.save_for_backward(x, factor, alpha, w)
        return w

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, factor, alpha, w = ctx.saved_tensors
        beta = _solve(factor, _times(x, gradient))
        rest = gradient - _times(x.mT, beta)
        by_x = _outer_difference(alpha, rest, beta, w)
        return by_x, beta, -(alpha * beta).sum(dim=-1)


class _Primal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, regularization: Tensor) -> Tensor:
        factor = _factorise(_gram(x.mT), regularization)
        w = _solve(factor, _times(x.mT, y))
        ctx.save_for_backward(x, y, factor, w)
        return w

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # In terms of u = (X^T X + lambda I)^-1 g: beta = X u, g - X^T beta = lambda u, and
        # lambda alpha = y - X w.
        x, y, factor, w = ctx.saved_tensors
        u = _solve(factor, gradient)
        beta = _times(x, u)
        by_x = _outer_difference(y - _times(x, w), u, beta, w)
        return by_x, beta, -(u * w).sum(dim=-1)


def _prepared(x: Tensor, y: Tensor, regularization: float | Tensor) -> tuple[Tensor, ...]:
    x, y = _at_least_float32(x), _at_least_float32(y)
    shift = torch.as_tensor(regularization, dtype=x.dtype, device=x.device)
    return x, y, shift.expand(x.shape[0])


def _gram(rows: Tensor) -> Tensor:
    """The lower triangle of rows rows^T (B, n, n), of which a factorisation asks no more.

    In two bands: a quarter of the product is left out.
    """
    size = rows.shape[-2]
    half = size // 2
    gram = rows.new_zeros(*rows.shape[:-2], size, size)
    gram[..., :half, :half] = rows[..., :half, :] @ rows[..., :half, :].mT
    gram[..., half:, :] = rows[..., half:, :] @ rows.mT
    return gram


def _factorise(gram: Tensor, regularization: Tensor) -> Tensor:
    """The Cholesky factor of gram + lambda I, from the lower triangle of `gram` (B, n, n), whose
    diagonal is changed. `regularization`: (B,)."""
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    mean = diagonal.mean(dim=-1)
    diagonal.add_(regularization[:, None])
    added = 0.0
    for jitter in _JITTERS:
        diagonal.add_(((jitter - added) * mean)[:, None])
        added = jitter
        factor, failed = _cholesky(gram)
        if not failed:
            return factor
    size = gram.shape[-1]
    raise SolverError(
        f"expected a positive definite {size} x {size} ridge system; its factorisation failed "
        f"even with a relative jitter of {_JITTERS[-1]:g} (lambda {float(regularization[0]):g}, "
        f"samples finite: {bool(torch.isfinite(gram.tril()).all())})"
    )


def _cholesky(gram: Tensor) -> tuple[Tensor, bool]:
    """The factor L of gram = L L^T (B, n, n), of which only the lower triangle counts, and whether
    there is none.

    On a CPU in blocks of columns: most of the work is then matrix products, at 2 to 3 times the
    speed of the library's routine (n = 1024, float32, one core).
    """
    size = gram.shape[-1]
    if gram.device.type != "cpu" or size <= 2 * _BLOCK:
        factor, info = torch.linalg.cholesky_ex(gram)
        return factor, bool(info.any())
    factor = torch.empty_like(gram).mT  # columns in a row, as the triangular solvers want them
    for start in range(0, size, _BLOCK):
        stop = min(start + _BLOCK, size)
        panel = gram[..., start:, start:stop]
        if start:
            done = factor[..., start:, :start]
            panel = torch.baddbmm(panel, done, done[..., : stop - start, :].mT, alpha=-1)
        corner, info = torch.linalg.cholesky_ex(panel[..., : stop - start, :])
        if bool(info.any()):
            return factor, True
        factor[..., start:stop, start:stop] = corner
        factor[..., stop:, start:stop] = torch.linalg.solve_triangular(
            corner.mT, panel[..., stop - start :, :], upper=True, left=False
        )
    return factor, False


def _solve(factor: Tensor, right: Tensor) -> Tensor:
    """(L L^T)^-1 right for right sides (B, n)."""
    return torch.cholesky_solve(right[..., None], factor).squeeze(-1)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector[..., None]).squeeze(-1)


def _outer_difference(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """a b^T - c d^T of vectors (B, n) and (B, m), without a second matrix in between."""
    return torch.stack((a, -c), dim=-1) @ torch.stack((b, d), dim=-2)


def _at_least_float32(value: Tensor) -> Tensor:
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
