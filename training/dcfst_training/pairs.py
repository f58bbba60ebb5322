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

from dcfst_core.network.iou_fit import FIT_BOXES, FIT_CROPS, FIT_MIN_IOU
from dcfst_core.network.proposals import draw_elsewhere, draw_proposals
from dcfst_core.tracking.patch import SearchRegion
from dcfst_training.augmentation import Augmentation
from dcfst_training.crops import Image, crop_image
from dcfst_training.datasets.images import UnreadableFrameError
from dcfst_training.notices import warn_once
from dcfst_training.pair_sampling import ClipPair, PairSampler
from dcfst_training.pasting import CutoutBank

log = logging.getLogger(__name__)
Example = dict[str, Tensor]
Place = tuple[float, float, float]
"""Centre of a crop in target sizes from the target's, and its side / the usual one."""


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
    fit_crops: int = 0
    """Crops of the train frame with boxes to fit the IoU predictor on, for `--model.fit_iou`; the
    tracker has 4 (`network/iou_fit.py`)."""
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def context(self) -> float:
        """Reach of the largest test crop, both sides of the target / the target's size."""
        return self.search_area_scale * float(np.exp(2.5 * self.scale_sigma)) + 2 * self.shift


class PairDataset(Dataset[Example]):
    """`length` examples; example i is a function of (seed, i) alone, so runs can be resumed."""

    def __init__(
        self,
        sampler: PairSampler,
        options: CropOptions,
        length: int,
        seed: Sequence[int],
        cutouts: CutoutBank | None = None,
    ) -> None:
        self.sampler = sampler
        self.cutouts = cutouts
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
                return make_example(pair, self.options, rng, self.cutouts)
            except UnreadableFrameError as error:
                warn_once(log, f"skipped {pair.clip.name}: {error}")
        raise RuntimeError("20 pairs in a row had unreadable frames; see the warnings above")

    def name(self, index: int) -> str:
        """Clip and frames of an example, without making it."""
        pair = self.sampler.draw(np.random.default_rng([*self.seed, index]))
        return f"{pair.clip.name} ({pair.train_frame}, {pair.test_frame})"


def make_example(
    pair: ClipPair,
    options: CropOptions,
    rng: np.random.Generator,
    cutouts: CutoutBank | None = None,
) -> Example:
    """Crop, displace and augment one pair; `cutouts` are what is pasted into its test crop.

    Returns `train_patch` and `test_patch` (3, S, S) uint8, `train_box` and `test_box` (4,) xywh in
    their own patch's pixels, `proposals` (P, 4) xyxy in the test patch, those elsewhere last,
    `proposal_ious` (P,), `exact` (), whether the boxes are good enough for those, and `clip` (), a
    number that pairs of one clip share. With `fit_crops` F: `fit_patches` (F - 1, 3, S, S), the
    train frame's crops after the first, which is the train patch; `fit_boxes` (F, R, 4) xyxy in
    each of the F patches, and `fit_ious` (F, R).
    """
    augmentation = options.augmentation
    flip = rng.random() < augmentation.flip_probability
    grey = rng.random() < augmentation.grey_probability
    image = pair.clip.read(pair.train_frame)
    box = pair.clip.boxes_xywh[pair.train_frame]
    train = [_crop(image, box, options, _jitter(0.0, options.train_jitter, rng), flip)]
    for place in FIT_CROPS[1 : options.fit_crops]:
        train.append(_crop(image, box, options, place, flip))
    if not pair.is_still:
        image = pair.clip.read(pair.test_frame)
        box = pair.clip.boxes_xywh[pair.test_frame]
    place = _jitter(options.shift, options.scale_sigma, rng)
    test_patch, test_box = _crop(image, box, options, place, flip)
    if pair.is_still:
        test_patch = augmentation.cover(test_patch, test_box, rng)
    if cutouts:
        test_patch = augmentation.paste(test_patch, test_box, pair.clip, cutouts, rng)
    boxes, ious = draw_proposals(test_box, options.proposals, rng)
    if options.elsewhere:
        far, far_ious = draw_elsewhere(test_box, options.patch_size, options.elsewhere, rng)
        boxes, ious = np.concatenate((boxes, far)), np.concatenate((ious, far_ious))
    train_patches = augmentation.look([patch for patch, _ in train], rng, grey)
    example = {
        "train_patch": _to_tensor(train_patches[0]),
        "test_patch": _to_tensor(augmentation.look([test_patch], rng, grey)[0]),
        "train_box": _float32(train[0][1]),
        "test_box": _float32(test_box),
        "proposals": _float32(boxes),
        "proposal_ious": _float32(ious),
        "exact": torch.tensor(pair.clip.exact),
        "clip": torch.tensor(zlib.crc32(pair.clip.name.encode())),
    }
    if options.fit_crops:
        example |= _fit_boxes(train_patches, [box for _, box in train], rng)
    return example


def _fit_boxes(
    patches: Sequence[Image], boxes_xywh: Sequence[NDArray[np.float64]], rng: np.random.Generator
) -> Example:
    drawn = [draw_proposals(box, FIT_BOXES, rng, FIT_MIN_IOU) for box in boxes_xywh]
    boxes, ious = (np.stack(part) for part in zip(*drawn, strict=True))
    displaced = [_to_tensor(patch) for patch in patches[1:]]
    return {
        "fit_patches": torch.stack(displaced) if displaced else torch.empty(0, dtype=torch.uint8),
        "fit_boxes": _float32(boxes),
        "fit_ious": _float32(ious),
    }


def _jitter(shift: float, scale_sigma: float, rng: np.random.Generator) -> Place:
    dx, dy = rng.uniform(-shift, shift, 2)
    scale = np.exp(np.clip(rng.normal(0, scale_sigma), -2.5 * scale_sigma, 2.5 * scale_sigma))
    return dx, dy, scale


def _crop(
    image: Image, box_xywh: NDArray[np.float64], options: CropOptions, place: Place, flip: bool
) -> tuple[Image, NDArray[np.float64]]:
    """One crop (S, S, 3) of a frame and the target's box in it."""
    x, y, w, h = box_xywh
    dx, dy, scale = place
    size = np.sqrt(w * h)
    side = options.search_area_scale * size * scale
    region = SearchRegion(x + w / 2 + dx * size, y + h / 2 + dy * size, side, options.patch_size)
    mapped = np.array(region.to_patch(tuple(box_xywh)))
    if flip:
        mapped[0] = options.patch_size - mapped[0] - mapped[2]
    return crop_image(image, region, flip), mapped


def _to_tensor(patch: Image) -> Tensor:
    return torch.from_numpy(patch).permute(2, 0, 1)


def _float32(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
