"""The ridge solver: primal = dual = least squares on the augmented system, with its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcfst_core.errors import SolverError
from dcfst_core.network.ridge import (
    ridge_solve,
    ridge_solve_dual,
    ridge_solve_primal,
    solve_normal_equations,
)


def problem(samples: int, dimensions: int, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(samples * 100 + dimensions)
    x = torch.randn(batch, samples, dimensions, dtype=torch.float64, generator=generator)
    y = torch.randn(batch, samples, dtype=torch.float64, generator=generator)
    return x, y


@pytest.mark.parametrize(("samples", "dimensions"), [(12, 40), (40, 12), (20, 20)])
@pytest.mark.parametrize("regularization", [0.1, 10.0])
def test_primal_and_dual_equal_lstsq(samples: int, dimensions: int, regularization: float) -> None:
    x, y = problem(samples, dimensions)
    solutions = [
        solve(x, y, regularization)
        for solve in (ridge_solve, ridge_solve_primal, ridge_solve_dual)
    ]
    for index in range(len(x)):
        # min |Xw - y|^2 + lambda |w|^2 is plain least squares on [X; sqrt(lambda) I].
        stacked = np.concatenate((x[index], np.sqrt(regularization) * np.eye(dimensions)))
        target = np.concatenate((y[index], np.zeros(dimensions)))
        expected = np.linalg.lstsq(stacked, target, rcond=None)[0]
        for solution in solutions:
            assert np.abs(solution[index].numpy() - expected).max() < 1e-8


def test_normal_equations_equal_the_primal_form() -> None:
    x, y = problem(30, 10)
    moment = (x.mT @ y[..., None]).squeeze(-1)
    difference = solve_normal_equations(x.mT @ x, moment, 0.1) - ridge_solve(x, y, 0.1)
    assert difference.abs().max() < 1e-10


@pytest.mark.parametrize(("samples", "dimensions"), [(4, 7), (7, 4)])
def test_gradient_through_the_solver(samples: int, dimensions: int) -> None:
    x, y = problem(samples, dimensions)
    torch.autograd.gradcheck(
        lambda a, b: ridge_solve(a, b, 0.5), (x.requires_grad_(), y.requires_grad_())
    )


def test_float32_stays_near_float64_at_full_size() -> None:
    x, y = problem(961, 1024, batch=1)
    x = x / x.norm(dim=-1, keepdim=True)
    exact = ridge_solve(x, y, 0.1)
    single = ridge_solve(x.float(), y.float(), 0.1)
    assert (single - exact).norm() / exact.norm() < 1e-3


def test_half_precision_is_solved_in_float32() -> None:
    x, y = problem(6, 9)
    solution = ridge_solve(x.bfloat16(), y.bfloat16(), 0.1)
    assert solution.dtype == torch.float32
    expected = ridge_solve(x.bfloat16().double(), y.bfloat16().double(), 0.1)
    assert (solution - expected).abs().max() < 1e-4


def test_linearly_dependent_samples_are_solved() -> None:
    x = torch.ones(1, 50, 60)
    solution = ridge_solve(x, torch.ones(1, 50), 1e-6)
    assert torch.isfinite(solution).all()
    assert torch.allclose(x @ solution[..., None], torch.ones(1, 50, 1), atol=1e-2)


def test_samples_that_are_not_finite_raise_and_say_so() -> None:
    x = torch.full((1, 5, 8), float("nan"))
    with pytest.raises(SolverError, match=r"5 x 5 .*samples finite: False"):
        ridge_solve(x, torch.ones(1, 5), 0.1)
