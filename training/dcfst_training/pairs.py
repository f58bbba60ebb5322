"""From two frames to one training example: centred train crop, displaced test crop, proposals."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from dcfst_core.network.proposals import draw_elsewhere, draw_proposals
from dcfst_core.tracking.patch import SearchRegion
from dcfst_training.augmentation import Augmentation
from dcfst_training.crops import Image, crop_image
from dcfst_training.datasets.images import UnreadableFrameError
from dcfst_training.notices import warn_once
from dcfst_training.pair_sampling import ClipPair, PairSampler

log = logging.getLogger(__name__)
Example = dict[str, Tensor]


@dataclass(frozen=True)
class CropOptions:
    """How test crops differ from a crop centred on the target (paper: random shift and scale)."""

    search_area_scale: float = 5.0
    patch_size: int = 288
    shift: float = 1.5
    """Largest shift of the test crop's centre, in target sizes sqrt(w * h)."""
    scale_sigma: float = 0.15
    """Sigma of the logarithm of the test crop's scale."""
    train_jitter: float = 0.03
    """Sigma of the train box's shift and log scale: the tracker's own boxes are not exact."""
    proposals: int = 16
    elsewhere: int = 0
    """Further boxes of the test crop, where the target is not (ATOM: none)."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def context(self) -> float:
        """Reach of the largest test crop, both sides of the target / the target's size."""
        return self.search_area_scale * float(np.exp(2.5 * self.scale_sigma)) + 2 * self.shift


class PairDataset(Dataset[Example]):
    """`length` examples; example i is a function of (seed, i) alone, so runs can be resumed."""

    def __init__(
        self, sampler: PairSampler, options: CropOptions, length: int, seed: Sequence[int]
    ) -> None:
        self.sampler = sampler
        self.options = options
        self.length = length
        self.seed = tuple(seed)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self.length:
            raise IndexError(index)
        rng = np.random.default_rng([*self.seed, index])
        for _ in range(20):
            pair = self.sampler.draw(rng)
            try:
                return make_example(pair, self.options, rng)
            except UnreadableFrameError as error:
                warn_once(log, f"skipped {pair.clip.name}: {error}")
        raise RuntimeError("20 pairs in a row had unreadable frames; see the warnings above")

    def name(self, index: int) -> str:
        """Clip and frames of an example, without making it."""
        pair = self.sampler.draw(np.random.default_rng([*self.seed, index]))
        return f"{pair.clip.name} ({pair.train_frame}, {pair.test_frame})"


def make_example(pair: ClipPair, options: CropOptions, rng: np.random.Generator) -> Example:
    """Crop, displace and augment one pair.

    Returns `train_patch` and `test_patch` (3, S, S) uint8, `train_box` and `test_box` (4,) xywh in
    their own patch's pixels, `proposals` (P, 4) xyxy in the test patch, those elsewhere last,
    `proposal_ious` (P,), `exact` (), whether the boxes are good enough for those, and `clip` (), a
    number that pairs of one clip share.
    """
    augmentation = options.augmentation
    flip = rng.random() < augmentation.flip_probability
    grey = rng.random() < augmentation.grey_probability
    image = pair.clip.read(pair.train_frame)
    box = pair.clip.boxes_xywh[pair.train_frame]
    train_patch, train_box = _crop(image, box, options, 0.0, options.train_jitter, flip, rng)
    if not pair.is_still:
        image = pair.clip.read(pair.test_frame)
        box = pair.clip.boxes_xywh[pair.test_frame]
    test_patch, test_box = _crop(
        image, box, options, options.shift, options.scale_sigma, flip, rng
    )
    if pair.is_still:
        test_patch = augmentation.cover(test_patch, test_box, rng)
    boxes, ious = draw_proposals(test_box, options.proposals, rng)
    if options.elsewhere:
        far, far_ious = draw_elsewhere(test_box, options.patch_size, options.elsewhere, rng)
        boxes, ious = np.concatenate((boxes, far)), np.concatenate((ious, far_ious))
    train, test = (
        torch.from_numpy(augmentation.look(patch, rng, grey)).permute(2, 0, 1)
        for patch in (train_patch, test_patch)
    )
    return {
        "train_patch": train,
        "test_patch": test,
        "train_box": _tensor(train_box),
        "test_box": _tensor(test_box),
        "proposals": _tensor(boxes),
        "proposal_ious": _tensor(ious),
        "exact": torch.tensor(pair.clip.exact),
        "clip": torch.tensor(zlib.crc32(pair.clip.name.encode())),
    }


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _crop(
    image: Image,
    box_xywh: NDArray[np.float64],
    options: CropOptions,
    shift: float,
    scale_sigma: float,
    flip: bool,
    rng: np.random.Generator,
) -> tuple[Image, NDArray[np.float64]]:
    """One crop (S, S, 3) of a frame and the target's box in it."""
    x, y, w, h = box_xywh
    size = np.sqrt(w * h)
    dx, dy = rng.uniform(-shift, shift, 2) * size
    scale = np.exp(np.clip(rng.normal(0, scale_sigma), -2.5 * scale_sigma, 2.5 * scale_sigma))
    side = options.search_area_scale * size * scale
    region = SearchRegion(x + w / 2 + dx, y + h / 2 + dy, side, options.patch_size)
    mapped = np.array(region.to_patch(tuple(box_xywh)))
    if flip:
        mapped[0] = options.patch_size - mapped[0] - mapped[2]
    return crop_image(image, region, flip), mapped
