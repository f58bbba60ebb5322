"""The losses against the paper's formulas in float64, their gradients, and half precision."""

from __future__ import annotations

import math

import pytest
import torch

from dcfst_training.losses import (
    SCORE_LOSSES,
    iou_loss,
    modified_shrinkage_loss,
    original_shrinkage_loss,
)

SCORES = [-0.5, 0.0, 0.19, 0.2, 0.21, 0.7, 1.0, 1.4]
LABELS = [0.0, 0.01, 0.5, 1.0]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("score", SCORES)
def test_values_are_the_papers(score: float, label: float) -> None:
    s = torch.tensor([score], dtype=torch.float64)
    y = torch.tensor([label], dtype=torch.float64)
    weight = math.exp(label) * (score - label) ** 2
    modified = weight / (1 + math.exp(10 * (0.2 - abs(score - label))))
    original = weight / (1 + math.exp(10 * (0.2 - (label - score))))
    assert float(modified_shrinkage_loss(s, y)) == pytest.approx(modified, abs=1e-12)
    assert float(original_shrinkage_loss(s, y)) == pytest.approx(original, abs=1e-12)


@pytest.mark.parametrize("name", SCORE_LOSSES)
def test_gradients(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 20, dtype=torch.float64, generator=generator).requires_grad_()
    labels = torch.rand(3, 20, dtype=torch.float64, generator=generator)
    torch.autograd.gradcheck(lambda s: SCORE_LOSSES[name](s, labels), (scores,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", SCORE_LOSSES)
def test_half_precision_stays_finite_and_near(name: str, dtype: torch.dtype) -> None:
    scores = torch.tensor([300.0, -300.0, 1e-3, 0.5]).to(dtype)
    labels = torch.tensor([0.0, 1.0, 0.0, 1.0])
    value = SCORE_LOSSES[name](scores, labels)
    expected = SCORE_LOSSES[name](scores.double(), labels.double())
    assert value.dtype == torch.float32
    assert torch.allclose(value.double(), expected, rtol=1e-4)


def test_modified_form_counts_false_peaks_that_the_original_forgives() -> None:
    background, peak = torch.tensor([0.0]), torch.tensor([0.8])
    assert original_shrinkage_loss(peak, background) < 1e-3 * modified_shrinkage_loss(
        peak, background
    )


def test_iou_loss_is_zero_for_the_truth_on_its_scale() -> None:
    ious = torch.tensor([[0.0, 0.5, 1.0]])
    assert float(iou_loss(torch.tensor([[-1.0, 0.0, 1.0]]), ious)) == 0.0
    assert float(iou_loss(torch.tensor([[0.0, 0.0, 0.0]]), ious)) == pytest.approx(2 / 3)


def test_pairs_with_loose_boxes_do_not_count_in_the_iou_loss() -> None:
    predicted = torch.tensor([[0.0, 0.5], [9.0, 9.0], [1.0, -1.0]], requires_grad=True)
    ious = torch.tensor([[0.4, 0.8], [0.1, 0.1], [0.9, 0.2]])
    exact = torch.tensor([True, False, True])
    loss = iou_loss(predicted, ious, exact)
    assert float(loss.detach()) == pytest.approx(float(iou_loss(predicted[exact], ious[exact])))
    loss.backward()
    assert predicted.grad is not None and predicted.grad[1].abs().max() == 0
    assert float(iou_loss(predicted.detach(), ious, torch.zeros(3, dtype=torch.bool))) == 0.0


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"one shape; got \(2, 3\) and \(2, 4\)"):
        modified_shrinkage_loss(torch.zeros(2, 3), torch.zeros(2, 4))
