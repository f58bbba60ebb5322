"""A target as a file: what was learned of it in one place, to find it again in another.

One safetensors file of under 5 MB: the sums of normal equations of the first and of all verified
frames (upper triangles), the verified looks, what the IoU predictor knows, size and shape. The
newest frames' part is left out: it tells where the target was, not what it is. Sums of two runs
add up exactly, so two files of one object can be merged.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dcfst_core.errors import TargetError
from dcfst_core.inference.iou_field import Guide
from dcfst_core.network.model import DCFSTNet, hash_weights
from dcfst_core.network.rows import Rows, on_device
from dcfst_core.tracking.colours import BINS
from dcfst_core.tracking.config import TrackerConfig
from dcfst_core.tracking.evidence import Means, Usual
from dcfst_core.tracking.looks import LookBook, Looks
from dcfst_core.tracking.memory import GramMemory, Sums
from dcfst_core.tracking.target import Target

FORMAT = "dcfst target 3"
MOST_BYTES = 16 * 2**20
# The settings that decide what a sample feature and a look are.
_SHAPING = (
    *("search_area_scale", "patch_size", "grid_size", "grid_spacing"),
    *("output_sigma_factor", "memory", "looks", "colours"),
)


@dataclass(frozen=True)
class SavedTarget:
    """What a file holds; on the CPU."""

    target_id: str
    size_wh: tuple[float, float]
    """Width and height when it was last seen, image px."""
    usual: Usual
    frames: int
    """Verified frames that `lasting` stands for."""
    first: Sums
    lasting: Sums
    book: LookBook | None
    palette: Tensor | None
    guide: Guide
    fingerprint: str
    """Of the weights and the settings that it was learned with."""


def fingerprint(model: DCFSTNet, config: TrackerConfig) -> str:
    """Digest of the weights and settings that decide what samples and looks mean."""
    digest = hash_weights(model)
    values = config.to_dict()
    digest.update(json.dumps({name: values[name] for name in _SHAPING}).encode())
    return digest.hexdigest()[:32]


def capture(target: Target, print_of_settings: str) -> SavedTarget:
    """What is saved of a target; TargetError where its memory has no sums."""
    memory = target.model.memory
    if not isinstance(memory, GramMemory):
        raise TargetError("expected memory = gram, whose sums can be saved; got average")
    book = target.looks
    if book is not None:
        book = replace(book, looks=_kept(book.looks))
    return SavedTarget(
        target.target_id,
        target.last_seen_box_xywh[2:],
        target.belief.usual,
        memory.frames,
        _kept(memory.first),
        _kept(memory.lasting),
        book,
        None if target.palette is None else target.palette.to("cpu", copy=True),
        _kept(target.guide),
        print_of_settings,
    )


def write_target(saved: SavedTarget, path: str | Path) -> None:
    """Write the file; what was there before is replaced at the end, as a whole."""
    path = Path(path)
    tensors = {
        "first.gram": _triangle(saved.first.gram),
        "first.moment": saved.first.moment[0],
        "lasting.gram": _triangle(saved.lasting.gram),
        "lasting.moment": saved.lasting.moment[0],
        **{f"guide.{name}": value[0] for name, value in saved.guide._asdict().items()},
    }
    if saved.book is not None:
        looks = saved.book.looks
        tensors |= {
            "looks.mean3": looks.mean3[0],
            "looks.mean4": looks.mean4[0],
            "looks.known": looks.known[0, : saved.book.taken].half(),
        }
    if saved.palette is not None:
        tensors["palette"] = saved.palette[0]
    metadata = {
        "format": FORMAT,
        "id": saved.target_id,
        "size_wh": json.dumps(saved.size_wh),
        "usual": json.dumps(asdict(saved.usual)),
        "frames": str(saved.frames),
        "fingerprint": saved.fingerprint,
    }
    data = save({name: value.contiguous() for name, value in tensors.items()}, metadata)
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise TargetError(f"expected to write the target to {path}; {error}") from error


def read_target(path: str | Path) -> SavedTarget:
    """Read a file; TargetError for one that is missing, damaged, or something else."""
    path = Path(path)
    if not path.is_file():
        raise TargetError(f"expected a saved target at {path}; there is none")
    if path.stat().st_size > MOST_BYTES:
        raise TargetError(
            f"expected a saved target of at most {MOST_BYTES >> 20} MiB; {path} has "
            f"{path.stat().st_size >> 20} MiB: it is something else"
        )
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if metadata.get("format") != FORMAT:
            raise ValueError(f"format {metadata.get('format')!r}, not {FORMAT!r}")
        return _saved(tensors, metadata)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise TargetError(
            f"expected a saved target in {path}; {error}: it is damaged or of another version, "
            "so save the target again"
        ) from error


def merge_targets(a: SavedTarget, b: SavedTarget) -> SavedTarget:
    """One target of what two runs or two cameras learned of the same object.

    The sums of all frames add up, each run weighing as many frames as it verified; looks are kept
    as long as they differ. Name, size, usual values and the IoU predictor are a's. Raises
    TargetError for targets learned with other weights or settings.
    """
    if a.fingerprint != b.fingerprint:
        raise TargetError(
            f"expected two targets of the same weights and settings; {a.target_id!r} has "
            f"{a.fingerprint}, {b.target_id!r} has {b.fingerprint}"
        )
    # The first frame counts as one more, so that two short runs weigh the same.
    share = (b.frames + 1) / (a.frames + b.frames + 2)
    book = a.book
    if book is not None and b.book is not None:
        for look in b.book.looks.known[0, : b.book.taken]:
            book = book.with_look(look[None])
    palette = a.palette
    if palette is not None and b.palette is not None:
        palette = torch.lerp(palette, b.palette, share)
    return replace(
        a,
        frames=a.frames + b.frames + 1,
        first=_mixed(a.first, b.first, 0.5),
        lasting=_mixed(a.lasting, b.lasting, share),
        book=book,
        palette=palette,
    )


def _saved(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> SavedTarget:
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds NaN or Inf")
    sums = [
        Sums(_square(tensors[f"{part}.gram"]), tensors[f"{part}.moment"][None].float())
        for part in ("first", "lasting")
    ]
    width, height = (float(value) for value in json.loads(metadata["size_wh"]))
    if not (0 < width < 1e6 and 0 < height < 1e6):
        raise ValueError(f"size {width} x {height}")
    book = None
    if "looks.known" in tensors:
        known = tensors["looks.known"].float()[None]
        mean3, mean4 = (tensors[f"looks.{name}"][None] for name in ("mean3", "mean4"))
        looks = Looks(mean3, mean4, known, torch.zeros_like(known))
        book = LookBook(looks, known.shape[1])
    palette = tensors["palette"][None].float() if "palette" in tensors else None
    if palette is not None and palette.shape != (1, BINS**3):
        raise ValueError(f"a palette of {palette.shape[1]} colours")
    usual = json.loads(metadata["usual"])
    frames = int(metadata["frames"])
    if not isinstance(usual, dict) or frames < 0:
        raise ValueError(f"usual {usual!r}, {frames} frames")
    return SavedTarget(
        metadata["id"],
        (width, height),
        Usual(_means(usual["sure"]), _means(usual["lately"]), bool(usual["doubted"])),
        frames,
        sums[0],
        sums[1],
        book,
        palette,
        Guide(*(tensors[f"guide.{name}"][None].float() for name in Guide._fields)),
        metadata["fingerprint"],
    )


def _kept(rows: Rows) -> Rows:
    """A copy on the CPU, which the tracker's next update does not change."""
    return on_device(rows, "cpu", copy=True)


def _means(given: dict[str, Any] | None) -> Means | None:
    if given is None:
        return None
    # A file of an earlier version may lack some, of which what is typical will do.
    known = [spec.name for spec in fields(Means) if spec.name in given]
    means = Means(**{name: float(given[name]) for name in known})
    if not all(map(math.isfinite, astuple(means))):
        raise ValueError(f"usual values {given}")
    return means


def _triangle(gram: Tensor) -> Tensor:
    """The upper triangle of a symmetric matrix (1, D, D) as a vector, on the CPU."""
    rows, columns = torch.triu_indices(*gram.shape[1:])
    return gram[0].cpu()[rows, columns]


def _square(triangle: Tensor) -> Tensor:
    """The symmetric matrix (1, D, D) with this upper triangle."""
    size = int(((8 * len(triangle) + 1) ** 0.5 - 1) / 2)
    if size * (size + 1) // 2 != len(triangle):
        raise ValueError(f"a triangle of {len(triangle)} numbers")
    gram = torch.zeros(size, size)
    rows, columns = torch.triu_indices(size, size)
    gram[rows, columns] = triangle.float()
    return (gram + gram.triu(1).T)[None]


def _mixed(a: Sums, b: Sums, share_of_b: float) -> Sums:
    return Sums(torch.lerp(a.gram, b.gram, share_of_b), torch.lerp(a.moment, b.moment, share_of_b))
