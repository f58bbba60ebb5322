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


@pytest.mark.parametrize(("samples", "dimensions"), [(12, 40), (40, 12), (20, 20), (300, 410)])
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


@pytest.mark.parametrize(("samples", "dimensions"), [(30, 10), (320, 300)])
def test_normal_equations_equal_the_primal_form(samples: int, dimensions: int) -> None:
    x, y = problem(samples, dimensions)
    moment = (x.mT @ y[..., None]).squeeze(-1)
    difference = solve_normal_equations(x.mT @ x, moment, 0.1) - ridge_solve(x, y, 0.1)
    assert difference.abs().max() < 1e-10


def through_the_factorisation(
    x: torch.Tensor, y: torch.Tensor, shift: torch.Tensor
) -> torch.Tensor:
    """The dual solution with autograd's own derivative: the oracle of ours."""
    eye = torch.eye(x.shape[1], dtype=x.dtype)
    factor = torch.linalg.cholesky(x @ x.mT + shift[:, None, None] * eye)
    return (x.mT @ torch.cholesky_solve(y[..., None], factor)).squeeze(-1)


@pytest.mark.parametrize(("samples", "dimensions"), [(4, 7), (7, 4), (1, 3)])
def test_gradient_through_the_solver(samples: int, dimensions: int) -> None:
    x, y = problem(samples, dimensions)
    shift = torch.tensor([0.5, 2.0], dtype=torch.float64)
    inputs = tuple(value.requires_grad_() for value in (x, y, shift))
    torch.autograd.gradcheck(ridge_solve, inputs)
    weight = torch.rand(2, samples, dtype=torch.float64).add(0.1).requires_grad_()
    torch.autograd.gradcheck(ridge_solve, (*inputs, weight))


@pytest.mark.parametrize(("samples", "dimensions"), [(30, 50), (50, 30)])
def test_gradient_is_that_through_the_factorisation(samples: int, dimensions: int) -> None:
    found = []
    for solve in (ridge_solve, through_the_factorisation):
        x, y = problem(samples, dimensions)
        shift = torch.tensor([0.1, 3.0], dtype=torch.float64)
        inputs = [value.requires_grad_() for value in (x, y, shift)]
        solve(*inputs).sin().sum().backward()
        found.append([value.grad for value in inputs])
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).abs().max() < 1e-9 * theirs.abs().max()


def test_a_weight_counts_as_so_many_samples() -> None:
    x, y = problem(6, 9)
    weight = torch.tensor([2.0, 1.0, 0.0, 3.0, 1.0, 1.0], dtype=torch.float64)
    times = weight.long().tolist()
    repeated = ridge_solve(
        x.repeat_interleave(torch.tensor(times), dim=1),
        y.repeat_interleave(torch.tensor(times), dim=1),
        0.3,
    )
    assert (ridge_solve(x, y, 0.3, weight.expand(2, -1)) - repeated).abs().max() < 1e-10


def test_each_of_a_batch_may_have_a_lambda_of_its_own() -> None:
    x, y = problem(12, 20)
    both = ridge_solve(x, y, torch.tensor([0.1, 5.0]))
    for index, one in enumerate((0.1, 5.0)):
        alone = ridge_solve(x[index : index + 1], y[index : index + 1], one)
        assert (both[index] - alone[0]).abs().max() < 1e-7


def test_float32_stays_near_float64_at_full_size() -> None:
    x, y = problem(961, 1024, batch=1)
    x = x / x.norm(dim=-1, keepdim=True)
    exact = ridge_solve(x, y, 0.1)
    single = ridge_solve(x.float(), y.float(), 0.1)
    assert (single - exact).norm() / exact.norm() < 1e-3
    gradients = []
    for dtype in (torch.float64, torch.float32):
        rows = x.to(dtype, copy=True).requires_grad_()
        ridge_solve(rows, y.to(dtype), 0.1).square().sum().backward()
        gradients.append(rows.grad.double())
    assert (gradients[1] - gradients[0]).norm() / gradients[0].norm() < 1e-3


def test_half_precision_is_solved_in_float32() -> None:
    x, y = problem(6, 9)
    solution = ridge_solve(x.bfloat16(), y.bfloat16(), 0.1)
    assert solution.dtype == torch.float32
    expected = ridge_solve(x.bfloat16().double(), y.bfloat16().double(), 0.1)
    assert (solution - expected).abs().max() < 1e-4


@pytest.mark.parametrize("samples", [50, 300])
def test_linearly_dependent_samples_are_solved(samples: int) -> None:
    x = torch.ones(1, samples, 360)
    solution = ridge_solve(x, torch.ones(1, samples), 1e-6)
    assert torch.isfinite(solution).all()
    assert torch.allclose(x @ solution[..., None], torch.ones(1, samples, 1), atol=1e-2)


@pytest.mark.parametrize("samples", [5, 300])
def test_samples_that_are_not_finite_raise_and_say_so(samples: int) -> None:
    x = torch.randn(1, samples, 400)
    x[0, -1, 0] = float("nan")
    size = f"{samples} x {samples}"
    with pytest.raises(SolverError, match=rf"{size} .*samples finite: False"):
        ridge_solve(x, torch.ones(1, samples), 0.1)
