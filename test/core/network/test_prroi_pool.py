"""PrRoI pooling against dense numerical integration of the bilinear surface, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcfst_core.network.prroi_pool import bin_means, prroi_pool, prroi_pool_grid, prroi_score_grid

H, W = 9, 12
ROIS = {
    "inside": (2.3, 1.7, 7.9, 6.1),
    "one cell": (4.2, 3.1, 4.9, 3.6),
    "across the left border": (-2.4, 2.0, 3.3, 5.5),
    "across the corner": (9.6, 6.2, 14.5, 11.3),
    "around the whole map": (-3.0, -2.5, 15.0, 11.0),
    "beyond the border": (14.0, 2.0, 17.0, 5.0),
}


def surface(features: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear interpolation of (C, H, W) at points, by looking up the four neighbours."""
    padded = np.pad(features, ((0, 0), (30, 30), (30, 30)))
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - x0, y - y0
    total = np.zeros((features.shape[0], *x.shape))
    for dx, weight_x in ((0, 1 - fx), (1, fx)):
        for dy, weight_y in ((0, 1 - fy), (1, fy)):
            total += padded[:, y0 + dy + 30, x0 + dx + 30] * weight_x * weight_y
    return total


def integrate(features: np.ndarray, roi: tuple, bins: int) -> np.ndarray:
    """The mean over each bin by Gauss-Legendre quadrature between the surface's creases.

    Between two creases the surface is a polynomial of degree 1 in x and in y, which the 3-point
    rule integrates exactly: this shares no formula with the hat integrals.
    """
    nodes, weights = np.polynomial.legendre.leggauss(3)
    result = np.zeros((features.shape[0], bins, bins))
    edges_x = np.linspace(roi[0], roi[2], bins + 1)
    edges_y = np.linspace(roi[1], roi[3], bins + 1)
    for row in range(bins):
        for col in range(bins):
            xs, wx = pieces(edges_x[col], edges_x[col + 1], nodes, weights)
            ys, wy = pieces(edges_y[row], edges_y[row + 1], nodes, weights)
            grid_x, grid_y = np.meshgrid(xs, ys)
            values = surface(features, grid_x, grid_y)
            result[:, row, col] = (values * (wy[:, None] * wx)).sum((1, 2)) / (wx.sum() * wy.sum())
    return result


def pieces(low: float, high: float, nodes: np.ndarray, weights: np.ndarray) -> tuple:
    cuts = np.array([low, *np.arange(np.ceil(low), np.ceil(high)), high])
    half = (cuts[1:] - cuts[:-1])[:, None] / 2
    points = (cuts[1:] + cuts[:-1])[:, None] / 2 + half * nodes
    return points.ravel(), (half * weights).ravel()


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(2, 3, H, W, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ROIS)
@pytest.mark.parametrize("bins", [1, 3, 5])
def test_equals_numerical_integration(features: torch.Tensor, name: str, bins: int) -> None:
    roi = torch.tensor(ROIS[name], dtype=torch.float64)
    pooled = prroi_pool(features, roi.expand(2, 1, 4), bins)
    for index in range(2):
        expected = integrate(features[index].numpy(), ROIS[name], bins)
        assert np.abs(pooled[index, 0].numpy() - expected).max() < 1e-6


def test_is_zero_where_the_roi_misses_the_map(features: torch.Tensor) -> None:
    roi = torch.tensor([[[30.0, 30.0, 33.0, 34.0]]], dtype=torch.float64).expand(2, 1, 4)
    assert not prroi_pool(features, roi, 3).any()


def grid_weights(bins: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A 4 x 5 grid of RoIs partly beyond the border, both as RoIs and as weights."""
    ys = torch.tensor([-1.0, 1.5, 4.0, 6.5], dtype=torch.float64).expand(2, 4)
    xs = torch.tensor([-2.0, 0.5, 3.0, 5.5, 8.0], dtype=torch.float64).expand(2, 5)
    size = torch.tensor([[3.7, 2.9], [5.1, 2.2]], dtype=torch.float64)  # w, h of each map
    rois = torch.stack(
        [
            torch.stack((x, y, x + size[b, 0], y + size[b, 1]))
            for b in range(2)
            for y in ys[b]
            for x in xs[b]
        ]
    ).view(2, 20, 4)
    return (
        rois,
        bin_means(ys, ys + size[:, 1:], bins, H),
        bin_means(xs, xs + size[:, :1], bins, W),
    )


@pytest.mark.parametrize("bins", [2, 4])
def test_grid_form_equals_general_form(features: torch.Tensor, bins: int) -> None:
    rois, weights_y, weights_x = grid_weights(bins)
    general = prroi_pool(features, rois, bins)
    grid = prroi_pool_grid(features, weights_y, weights_x)
    assert (grid - general).abs().max() < 1e-12


def test_score_grid_equals_pooling_then_inner_product(features: torch.Tensor) -> None:
    _, weights_y, weights_x = grid_weights(4)
    kernel = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    pooled = prroi_pool_grid(features, weights_y, weights_x)
    expected = (pooled * kernel[:, None]).sum((2, 3, 4)).view(2, 4, 5)
    scores = prroi_score_grid(features, kernel, weights_y, weights_x)
    assert (scores - expected).abs().max() < 1e-12


def test_gradients_in_features_and_boxes() -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(1, 2, 5, 6, dtype=torch.float64, generator=generator)
    # Edges off the integers: at a crease the second derivative jumps and differences mislead.
    rois = torch.tensor([[[0.3, 0.7, 3.4, 3.2], [-1.3, 1.2, 2.6, 5.7]]], dtype=torch.float64)
    torch.autograd.gradcheck(
        lambda f, r: prroi_pool(f, r, 3),
        (features.requires_grad_(), rois.requires_grad_()),
    )
