"""Square search regions cut out of a frame, on the frame's device, and the map back to the image.

A region has the target's centre and a side of `search_area_scale * sqrt(w * h)`; it is resized to
`patch_size` pixels, sub-pixel exact, with the border pixels repeated outside of the image.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dcfst_core.boxes import BoxXYWH
from dcfst_core.errors import FrameError

# ImageNet statistics in RGB, for images in [0, 1] (torchvision's ResNet weights expect them).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class SearchRegion:
    """A square of the image: centre and side in image pixels, and the patch it is resized to."""

    centre_x: float
    centre_y: float
    side: float
    patch_size: int

    @classmethod
    def around(cls, box_xywh: BoxXYWH, search_area_scale: float, patch_size: int) -> SearchRegion:
        """The region centred on a box whose side is `search_area_scale` times sqrt(w * h)."""
        x, y, w, h = box_xywh
        return cls(x + w / 2, y + h / 2, search_area_scale * math.sqrt(w * h), patch_size)

    @property
    def scale(self) -> float:
        """Patch pixels per image pixel."""
        return self.patch_size / self.side

    def to_patch(self, box_xywh: Sequence[float]) -> BoxXYWH:
        """Map a box from image pixels to patch pixels."""
        x, y, w, h = box_xywh
        s, half = self.scale, self.patch_size / 2
        return ((x - self.centre_x) * s + half, (y - self.centre_y) * s + half, w * s, h * s)

    def to_image(self, box_xywh: Sequence[float]) -> BoxXYWH:
        """Map a box from patch pixels to image pixels."""
        x, y, w, h = box_xywh
        s, half = self.scale, self.patch_size / 2
        return ((x - half) / s + self.centre_x, (y - half) / s + self.centre_y, w / s, h / s)


def check_frame(frame_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the frame as a (H, W, 3) uint8 array, or raise FrameError.

    Accepts RGB (H, W, 3), RGBA (H, W, 4; alpha is dropped) and grey (H, W) or (H, W, 1; repeated
    to three channels). Other types and shapes are refused: scaling a 16-bit image to 8 bits is a
    choice that only its owner can make.
    """
    if not isinstance(frame_rgb, np.ndarray):
        raise FrameError(
            f"expected a frame as a numpy array (H, W, 3) of uint8, RGB; got {type(frame_rgb)}"
        )
    if frame_rgb.dtype != np.uint8:
        raise FrameError(
            f"expected an 8-bit frame (uint8); got {frame_rgb.dtype}: scale its values to 0..255 "
            "and convert it first"
        )
    if frame_rgb.ndim == 2:
        frame_rgb = frame_rgb[..., None]
    if frame_rgb.ndim != 3 or frame_rgb.shape[2] not in (1, 3, 4) or 0 in frame_rgb.shape:
        raise FrameError(
            "expected a frame of shape (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey with at least "
            f"one pixel; got {frame_rgb.shape}"
        )
    if frame_rgb.shape[2] == 1:
        return np.repeat(frame_rgb, 3, axis=2)
    return frame_rgb[..., :3]


def upload_frame(frame_rgb: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Copy a checked frame (H, W, 3) to the device as a uint8 tensor (3, H, W)."""
    # PyTorch takes only memory that it could write to; a read-only frame is copied.
    usable = np.require(frame_rgb, requirements=["C", "W"])
    return _send(torch.from_numpy(usable), device).permute(2, 0, 1)


def to_device(values: Sequence[float] | Sequence[Sequence[float]], device: torch.device) -> Tensor:
    """Numbers on the host as a float32 tensor on the device."""
    return _send(torch.tensor(values, dtype=torch.float32), device)


def _send(tensor: Tensor, device: torch.device) -> Tensor:
    # From pinned memory the copy takes its turn on the GPU, and the host goes on meanwhile.
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def crop_regions(frame: Tensor, regions: Sequence[SearchRegion]) -> Tensor:
    """Cut search regions out of one frame and resize them to patches, ready for the network.

    `frame`: (3, H, W) uint8 or float in 0..255. All regions have one patch size. Returns
    (B, 3, patch_size, patch_size) float32, normalised with the ImageNet statistics.
    """
    return normalize_patches(torch.stack([crop_region(frame, region) for region in regions]))


def normalize_patches(patches: Tensor) -> Tensor:
    """Patches (..., 3, S, S) in 0..255 to the network's input, by the ImageNet statistics."""
    mean, std = _imagenet_statistics(patches.device)
    return (patches - mean) / std


def denormalize_patches(patches: Tensor) -> Tensor:
    """The network's input (..., 3, S, S) back to values in 0..255."""
    mean, std = _imagenet_statistics(patches.device)
    return patches * std + mean


@functools.cache
def _imagenet_statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (3, 1, 1) in 0..255: sent to a device once, not per frame."""
    mean, std = (
        torch.tensor(v, device=device).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return mean * 255, std * 255


def crop_region(frame: Tensor, region: SearchRegion) -> Tensor:
    """Cut one region out of a frame (3, H, W); returns (3, patch_size, patch_size) in 0..255."""
    height, width = frame.shape[1:]
    # A shrinking factor of k or more averages k x k pixels first, or fine detail would alias.
    factor = max(1, int(region.side / region.patch_size))
    half = region.side / 2
    left, right = _covered(region.centre_x - half, region.centre_x + half, width, factor)
    top, bottom = _covered(region.centre_y - half, region.centre_y + half, height, factor)
    piece = frame[None, :, top:bottom, left:right].float()
    if factor > 1:
        piece = F.avg_pool2d(piece, factor, ceil_mode=True)
    xs = _sample_points(region.centre_x, left, right - left, factor, piece.shape[3], region, frame)
    ys = _sample_points(region.centre_y, top, bottom - top, factor, piece.shape[2], region, frame)
    grid = torch.stack((xs.expand(len(ys), -1), ys[:, None].expand(-1, len(xs))), dim=-1)
    return F.grid_sample(piece, grid[None], padding_mode="border", align_corners=False)[0]


def _covered(low: float, high: float, size: int, factor: int) -> tuple[int, int]:
    """The pixel range [start, stop) that a region needs along one axis: at least one pixel.

    It starts at a multiple of `factor` so that a target that moves is averaged over the same
    cells.
    """
    start = min(max(math.floor(low) - 2 * factor, 0), size - 1) // factor * factor
    stop = min(max(math.ceil(high) + 2 * factor, start + 1), size)
    return start, stop


def _sample_points(
    centre: float,
    offset: int,
    extent: int,
    factor: int,
    cells: int,
    region: SearchRegion,
    frame: Tensor,
) -> Tensor:
    """Where the patch's pixel centres lie in the piece, in grid_sample's [-1, 1] units."""
    index = torch.arange(region.patch_size, device=frame.device, dtype=torch.float32)
    # The large constants are folded on the host in double precision.
    first = centre - offset - region.side / 2 + 0.5 / region.scale
    points = index / region.scale + first
    return points * (2.0 / (factor * cells)) - 1.0
