"""What the head starts from: plain trunk features, or Gaussian weights as in the paper.

Plain: the fully connected layers become a projection on the directions in which pooled ImageNet
features vary most, so that step 0 tracks as well as those features do, and training adds to that.
"""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import tqdm

from dcfst_core.network.embedding import EmbeddingBranch
from dcfst_core.network.model import DCFSTNet
from dcfst_core.network.samples import SampleGrid
from dcfst_core.tracking.patch import normalize_patches
from dcfst_training.errors import SettingsError
from dcfst_training.pairs import PairDataset

ROIS_PER_CROP = 64


def check_crops(crops: int, net: DCFSTNet) -> None:
    """Raise SettingsError when so many crops have fewer pooled features than the head has
    directions to take from them."""
    needed = -(-net.embedding.block3.fc.out_features // ROIS_PER_CROP)
    if crops < needed:
        raise SettingsError(
            f"expected --plain_start_crops of at least {needed}, because a head has "
            f"{net.embedding.block3.fc.out_features} directions and each crop gives "
            f"{ROIS_PER_CROP} features to find them in; got {crops}"
        )


@torch.no_grad()
def start_at_plain_features(
    net: DCFSTNet,
    examples: PairDataset,
    whitening: float = 0.0,
    gain: float = 1.0,
) -> None:
    """Set both fully connected layers from the train crops of some examples, in place.

    `whitening`: exponent in [0, 1] that evens out the variances (0 = plain, 1 = white).
    `gain`: root mean square norm of a sample feature (its scale sets what lambda means).
    """
    grid = SampleGrid(15, 16.0, 288)
    generator = torch.Generator().manual_seed(0)
    net.eval()
    collected: tuple[list[Tensor], list[Tensor]] = ([], [])
    for index in tqdm(range(len(examples)), desc="pooled features", mininterval=2):
        example = examples[index]
        blocks = net(normalize_patches(example["train_patch"][None].float()))
        wh = example["train_box"][None, 2:]
        chosen = torch.randperm(grid.size**2, generator=generator)[:ROIS_PER_CROP]
        chosen[0] = grid.size**2 // 2  # the target itself
        for store, branch, features in zip(
            collected,
            (net.embedding.block3, net.embedding.block4),
            net.embedding.convolve(blocks),
            strict=True,
        ):
            store.append(branch.pool(features, grid, wh)[0, chosen])
    for store, branch in zip(collected, (net.embedding.block3, net.embedding.block4), strict=True):
        _project(branch, torch.cat(store), whitening, gain)


def _project(branch: EmbeddingBranch, pooled: Tensor, whitening: float, gain: float) -> None:
    mean = pooled.mean(dim=0)
    torch.manual_seed(0)  # svd_lowrank draws its test matrix from the global generator
    _, singular, directions = torch.svd_lowrank(pooled - mean, q=branch.fc.out_features, niter=3)
    variance = singular.square() / len(pooled)
    weight = directions.T * variance[:, None].pow(-whitening / 2)
    # Each branch gives half of the squared norm.
    power = (variance.pow(1 - whitening)).sum()
    weight = weight * gain * (0.5 / power).sqrt()
    branch.fc.weight.copy_(weight)
    branch.fc.bias.copy_(-(weight @ mean))


def start_gaussian(net: DCFSTNet) -> None:
    """Zero-mean Gaussian weights of the head, as in the paper, in place of uniform ones."""
    for branch in (net.embedding.block3, net.embedding.block4):
        for convolution in (branch.conv1, branch.conv2):
            torch.nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        torch.nn.init.normal_(branch.fc.weight, std=0.005)
        torch.nn.init.zeros_(branch.fc.bias)
