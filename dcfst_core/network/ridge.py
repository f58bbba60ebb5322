"""Ridge regression in closed form, differentiable: paper Eq. 2 and 3.

    min_w |X w - y|^2 + lambda |w|^2

has the primal solution w = (X^T X + lambda I)^-1 X^T y and, by the Woodbury identity, the dual one
w = X^T (X X^T + lambda I)^-1 y. The smaller of the two systems is factorised (Cholesky, never an
inverse). (The paper prints lambda X for lambda I in Eq. 3.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from dcfst_core.errors import SolverError

# Relative jitters tried, in turn, when rounding makes a system lose positive definiteness.
_JITTERS = (0.0, 1e-6, 1e-4)


def ridge_solve(x: Tensor, y: Tensor, regularization: float) -> Tensor:
    """The ridge regressor of a batch of data matrices, by the smaller of the two systems.

    `x`: (B, N, D) samples in rows; `y`: (B, N) labels; `regularization`: lambda > 0.
    Returns w (B, D), differentiable in x and y. Half-precision inputs are solved in float32.
    Raises SolverError when no factorisation exists (non-finite samples).
    """
    samples, dimensions = x.shape[-2:]
    if samples < dimensions:
        return ridge_solve_dual(x, y, regularization)
    return ridge_solve_primal(x, y, regularization)


def ridge_solve_dual(x: Tensor, y: Tensor, regularization: float) -> Tensor:
    """w = X^T (X X^T + lambda I)^-1 y (Eq. 3): an N x N system. Shapes as in `ridge_solve`."""
    x, y = _at_least_float32(x), _at_least_float32(y)
    alpha = solve_normal_equations(x @ x.mT, y, regularization)
    return (x.mT @ alpha[..., None]).squeeze(-1)


def ridge_solve_primal(x: Tensor, y: Tensor, regularization: float) -> Tensor:
    """w = (X^T X + lambda I)^-1 X^T y (Eq. 2): a D x D system. Shapes as in `ridge_solve`."""
    x, y = _at_least_float32(x), _at_least_float32(y)
    return solve_normal_equations(x.mT @ x, (x.mT @ y[..., None]).squeeze(-1), regularization)


def solve_normal_equations(gram: Tensor, moment: Tensor, regularization: float) -> Tensor:
    """w = (G + lambda I)^-1 m for G = X^T X (B, D, D) and m = X^T y (B, D); returns (B, D)."""
    return solve_factorised(factorise(gram, regularization), moment)


def factorise(gram: Tensor, regularization: float) -> Tensor:
    """The Cholesky factor (B, D, D), lower, of G + lambda I for G (B, D, D).

    Raises SolverError when there is none (non-finite samples).
    """
    mean_diagonal = gram.detach().diagonal(dim1=-2, dim2=-1).mean(dim=-1)[..., None]
    for jitter in _JITTERS:
        shifted = gram.clone()
        shifted.diagonal(dim1=-2, dim2=-1).add_(regularization + jitter * mean_diagonal)
        factor, info = torch.linalg.cholesky_ex(shifted)
        if not bool(info.any()):
            return factor
    size = gram.shape[-1]
    raise SolverError(
        f"expected a positive definite {size} x {size} ridge system; its factorisation failed "
        f"even with a relative jitter of {_JITTERS[-1]:g} (lambda {regularization:g}, "
        f"samples finite: {bool(torch.isfinite(gram).all())})"
    )


def solve_factorised(factor: Tensor, moment: Tensor) -> Tensor:
    """w (B, D) of the system with this Cholesky factor (B, D, D) and right side m (B, D)."""
    return torch.cholesky_solve(moment[..., None], factor).squeeze(-1)


def _at_least_float32(value: Tensor) -> Tensor:
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
