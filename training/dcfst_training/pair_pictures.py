"""Pictures of what is learned: pairs with their RoIs, labels, scores and predicted IoUs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from dcfst_core.tracking.peaks import find_peaks
from dcfst_training.module import DCFSTModule
from dcfst_training.pairs import Example

HALF = 144.0
TITLES = (
    "train crop: some sample RoIs",
    "its labels",
    "test crop",
    "scores",
    "predicted IoU, by true IoU",
)


@torch.no_grad()
def draw_pairs(module: DCFSTModule, batch: Example, out: Path) -> None:
    """Draw one row for each pair of a batch, as PNG.

    Columns: the train crop with its box (green) and some sample RoIs, coloured by their labels;
    all labels; the test crop with the true box (green), the box at the scores' peak (red) and some
    proposals, coloured by their predicted IoU; the scores; predicted against true IoU.
    """
    module.eval()
    seen = module.see(batch)
    train_wh = batch["train_box"][:, 2:]
    scores = module.scores(seen.train, seen.test, train_wh)
    predicted = (module.predict_iou(seen, batch).predicted + 1) / 2
    labels = module.train_samples.labels(train_wh, module.hparams.output_sigma_factor)
    peaks = find_peaks(scores, module.grid, train_wh, True).centre_xy
    count = len(train_wh)
    figure, axes = plt.subplots(count, 5, figsize=(17, 3.5 * count), squeeze=False)
    for row, places in enumerate(axes):
        side = module.train_samples.size
        label_map = labels[row].reshape(side, side)
        train_image, test_image = (
            _image(batch[f"{name}_patch"][row]) for name in ("train", "test")
        )
        _draw_samples(places[0], train_image, batch["train_box"][row], module, label_map)
        _draw_map(places[1], train_image, label_map, module.train_samples.spacing)
        _draw_test(places[2], test_image, batch, row, peaks[row], predicted[row])
        _draw_map(places[3], test_image, scores[row], module.grid.spacing)
        _draw_ious(places[4], batch["proposal_ious"][row], predicted[row])
    for place, title in zip(axes[0], TITLES, strict=True):
        place.set_title(title, fontsize=10)
    figure.tight_layout()
    figure.savefig(out, dpi=100)
    plt.close(figure)


def _image(patch: Tensor) -> np.ndarray:
    return patch.permute(1, 2, 0).numpy()


def _show(place: Axes, image: np.ndarray) -> None:
    place.imshow(image, extent=(0, image.shape[1], image.shape[0], 0))
    place.set_xlim(0, image.shape[1])
    place.set_ylim(image.shape[0], 0)
    place.axis("off")


def _box(place: Axes, xywh: Tensor, colour: Any, width: float = 2.0) -> None:
    x, y, w, h = (float(value) for value in xywh)
    place.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor=colour, linewidth=width))


def _draw_samples(
    place: Axes, image: np.ndarray, box: Tensor, module: DCFSTModule, labels: Tensor
) -> None:
    _show(place, image)
    grid, wh = module.train_samples, box[2:]
    middle = grid.size // 2
    # The outermost ones, whose label is 0, and those around the target.
    shown = (0, middle - 1, middle, middle + 1, grid.size - 1)
    for row in shown:
        for column in shown:
            centre = torch.tensor([column - middle, row - middle]) * grid.spacing + HALF
            colour = plt.get_cmap("plasma")(float(labels[row, column]))
            _box(place, torch.cat((centre - wh / 2, wh)), colour, 0.9)
    _box(place, box, "lime")


def _draw_map(place: Axes, image: np.ndarray, values: Tensor, spacing: float) -> None:
    """A map over the crop, each cell where its RoI's centre lies."""
    _show(place, image)
    reach = len(values) * spacing / 2
    extent = (HALF - reach, HALF + reach, HALF + reach, HALF - reach)
    shown = place.imshow(values.float(), extent=extent, cmap="plasma", alpha=0.65)
    size = image.shape[0]
    place.set_xlim(0, size)
    place.set_ylim(size, 0)
    plt.colorbar(shown, ax=place, fraction=0.046)


def _draw_test(
    place: Axes, image: np.ndarray, batch: Example, row: int, peak: Tensor, predicted: Tensor
) -> None:
    _show(place, image)
    low, high = batch["proposals"][row].split(2, dim=1)
    for number in range(min(8, len(low))):
        colour = plt.get_cmap("cool")(float(predicted[number].clamp(0, 1)))
        _box(place, torch.cat((low[number], high[number] - low[number])), colour, 0.8)
    wh = batch["train_box"][row, 2:]
    _box(place, batch["test_box"][row], "lime")
    _box(place, torch.cat((peak - wh / 2, wh)), "red", 1.0)


def _draw_ious(place: Axes, truth: Tensor, predicted: Tensor) -> None:
    place.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    place.plot(truth.numpy(), predicted.numpy(), "o", markersize=4)
    place.set(
        xlim=(0, 1), ylim=(-0.1, 1.1), xlabel="true IoU", ylabel="predicted IoU, by true IoU"
    )
    place.set_aspect("equal")
