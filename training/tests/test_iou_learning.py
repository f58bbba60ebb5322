"""Training the IoU predictor through its fit to each target."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from dcfst_core.network.box_tensors import iou_xyxy, xywh_to_xyxy
from dcfst_core.network.checkpoint import default_weights_path
from dcfst_core.network.iou_fit import FIT_BOXES, FIT_MIN_IOU, fit_predictor, predict
from dcfst_training.cli import main
from dcfst_training.datasets import MovingTargets
from dcfst_training.errors import SettingsError
from dcfst_training.export import load_network
from dcfst_training.iou_learning import predict_proposals
from dcfst_training.module import DCFSTModule
from dcfst_training.pair_sampling import PairSampler
from dcfst_training.pairs import CropOptions, Example, PairDataset


def make_batch(fit_crops: int, pairs: int = 2) -> Example:
    options = CropOptions(proposals=5, fit_crops=fit_crops)
    dataset = PairDataset(PairSampler([MovingTargets(6)], [1.0], 9), options, pairs, (0,))
    return default_collate([dataset[index] for index in range(pairs)])


@pytest.mark.parametrize("crops", [1, 3])
def test_boxes_to_fit_on_overlap_the_target_in_their_crop(crops: int) -> None:
    batch = make_batch(crops)
    assert batch["fit_boxes"].shape == (2, crops, FIT_BOXES, 4)
    assert batch["fit_ious"].min() >= FIT_MIN_IOU
    centred = iou_xyxy(batch["fit_boxes"][:, 0], xywh_to_xyxy(batch["train_box"])[:, None])
    assert (centred - batch["fit_ious"][:, 0]).abs().max() < 1e-4
    if crops > 1:
        assert batch["fit_patches"].shape == (2, crops - 1, 3, 288, 288)
        middle = batch["fit_boxes"].unflatten(-1, (2, 2)).mean(dim=(2, 3))  # of each crop's boxes
        # The target lies to the left where the crop's centre was moved to the right of it.
        moved = (middle[:, 1] - middle[:, 0]).abs()
        size = batch["train_box"][:, 2:].prod(dim=1).sqrt()
        assert np.allclose((moved[:, 0] / size) * 0.85, 0.6, atol=0.15)


def test_each_target_is_fitted_on_its_own_crops() -> None:
    torch.manual_seed(0)
    module = DCFSTModule(trunk_weights="random", fit_iou=True).eval()
    batch = make_batch(3)
    net = module.net.iou_net
    with torch.no_grad():
        found = module.predict_iou(module.see(batch), batch).predicted
        plain = predict_proposals(net, module.see(batch), batch, None).predicted
        for pair in range(2):
            crops = torch.cat((batch["train_patch"][pair][None], batch["fit_patches"][pair]))
            modulation = net.modulate(
                module.blocks(crops[:1]), xywh_to_xyxy(batch["train_box"][pair][None])
            )
            three = tuple(vector.expand(3, -1) for vector in modulation)
            pooled = net.pool(net.convolve(module.blocks(crops)), batch["fit_boxes"][pair])
            hidden = net.hidden(pooled, three).flatten(0, 1)[None]
            wanted = 2 * batch["fit_ious"][pair].flatten()[None] - 1
            layer = fit_predictor(hidden, wanted, net.predictor.weight, net.predictor.bias, 0.1)
            tested = net.convolve(module.blocks(batch["test_patch"][pair][None]))
            shown = net.pool(tested, batch["proposals"][pair][None])
            expected = predict(net.hidden(shown, modulation), *layer)[0]
            assert (found[pair] - expected).abs().max() < 1e-3 * expected.abs().max()
    assert (found - plain).abs().max() > 1e-2


def test_data_without_boxes_to_fit_on_are_refused() -> None:
    module = DCFSTModule(trunk_weights="random", fit_iou=True).eval()
    with pytest.raises(SettingsError, match=r"set --data\.crop\.fit_crops 4"):
        module.losses(make_batch(0))


def test_what_is_fitted_at_test_time_alone_is_measured_too() -> None:
    module = DCFSTModule(trunk_weights="random", score_weight=0.0).eval()
    load_network(module.net, default_weights_path())
    with torch.no_grad():
        values = module.losses(make_batch(4, pairs=4))
    assert float(values["fitted_iou_error"]) < float(values["iou_error"])


def test_a_run_through_the_fit_keeps_its_lambda(debug_recipe: Path, tmp_path: Path) -> None:
    settings = {
        **{"run": tmp_path, "data.batch_size": 1, "data.pairs_per_epoch": 3},
        **{"trainer.limit_val_batches": 0, "trainer.max_epochs": 1, "model.warmup_steps": 0},
        **{"model.score_weight": 0, "model.start": "gaussian", "model.fit_iou": True},
        **{"data.crop.fit_crops": 2, "trainer.enable_progress_bar": False},
    }
    chosen = [f"--{name}={value}" for name, value in settings.items()]
    main(["fit", f"--config={debug_recipe}", *chosen])
    out = tmp_path / "net.safetensors"
    main(["export", str(tmp_path / "last.ckpt"), str(out)])
    strength = json.loads(out.with_suffix(".json").read_text())["fit_regularization"]
    assert 0.05 < strength < 0.2 and strength != pytest.approx(0.1, rel=1e-3)
    again = tmp_path / "again"
    more = [f"--run={again}", f"--init_from={out}", "--model.iou_lr=1e-12"]
    main(["fit", f"--config={debug_recipe}", *chosen, *more])
    other = tmp_path / "other.safetensors"
    main(["export", str(again / "last.ckpt"), str(other)])
    kept = json.loads(other.with_suffix(".json").read_text())["fit_regularization"]
    assert kept == pytest.approx(strength, rel=1e-5)
