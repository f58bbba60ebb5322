"""The IoU predictor's last layer fitted to a target: least squares from the trained layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcfst_core.errors import SolverError
from dcfst_core.network.iou_fit import fit_predictor, predict
from dcfst_core.network.iou_net import IoUNet

Problem = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def problem(boxes: int, width: int, batch: int = 2) -> Problem:
    """Hidden features, wanted values, and a trained layer."""
    generator = torch.Generator().manual_seed(boxes)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    return draw(batch, boxes, width).relu(), draw(batch, boxes), draw(width), draw(1)


@pytest.mark.parametrize(("boxes", "width"), [(9, 20), (40, 12)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_fit_is_least_squares_that_stays_near_the_trained_layer(
    boxes: int, width: int, weighted: bool
) -> None:
    hidden, wanted, weight, bias = problem(boxes, width)
    counts = torch.linspace(0.1, 2, boxes, dtype=torch.float64).expand(2, -1)
    share = counts if weighted else torch.ones_like(counts)
    fitted, same = fit_predictor(hidden, wanted, weight, bias, 0.2, counts if weighted else None)
    assert fitted.shape == (2, width) and torch.equal(same, bias.expand(2))
    for index in range(2):
        rows, root = hidden[index].numpy(), share[index].sqrt().numpy()[:, None]
        mean = (share[index] * hidden[index].square().sum(-1)).sum() / share[index].sum()
        pull = np.sqrt(0.2 * float(mean))
        stacked = np.concatenate((root * rows, pull * np.eye(width)))
        right = (wanted[index] - bias).numpy()[:, None] * root
        target = np.concatenate((right[:, 0], pull * weight.numpy()))
        expected = np.linalg.lstsq(stacked, target, rcond=None)[0]
        assert np.abs(fitted[index].numpy() - expected).max() < 1e-9


def test_it_can_be_trained_through() -> None:
    hidden, wanted, weight, bias = problem(4, 6)
    strength = torch.tensor(0.3, dtype=torch.float64)
    share = torch.rand(2, 4, dtype=torch.float64) + 0.2
    inputs = tuple(v.requires_grad_() for v in (hidden, wanted, weight, bias, strength, share))
    torch.autograd.gradcheck(fit_predictor, inputs)


def test_float32_is_near_float64_at_full_size() -> None:
    hidden, wanted, weight, bias = problem(192, 512)
    exact, _ = fit_predictor(hidden, wanted, weight, bias, 0.1)
    single, _ = fit_predictor(*(v.float() for v in (hidden, wanted, weight, bias)), 0.1)
    assert (single - exact).norm() < 1e-4 * exact.norm()


def test_half_precision_is_fitted_in_float32() -> None:
    hidden, wanted, weight, bias = (value.bfloat16() for value in problem(5, 8))
    fitted, same = fit_predictor(hidden, wanted, weight, bias, 0.1)
    assert fitted.dtype == same.dtype == torch.float32


def test_what_the_predictor_got_wrong_becomes_less() -> None:
    torch.manual_seed(0)
    net = IoUNet().eval()
    pooled = torch.rand(2, 30, 5, 5, 256), torch.rand(2, 30, 3, 3, 256)
    modulation = torch.rand(2, 256), torch.rand(2, 256)
    wanted = torch.rand(2, 30) * 2 - 1
    with torch.no_grad():
        hidden = net.hidden(pooled, modulation)
        before = net.predict_pooled(pooled, modulation)
        layer = net.predictor.weight, net.predictor.bias
        assert torch.allclose(predict(hidden, layer[0].flatten(), layer[1]), before, atol=1e-5)
        after = predict(hidden, *fit_predictor(hidden, wanted, *layer, 0.01))
    assert (after - wanted).abs().mean() < 0.5 * (before - wanted).abs().mean()


def test_features_that_are_not_finite_are_an_error() -> None:
    hidden, wanted, weight, bias = problem(4, 6)
    with pytest.raises(SolverError, match="samples finite: False"):
        fit_predictor(hidden * torch.nan, wanted, weight, bias, 0.1)
