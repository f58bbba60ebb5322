"""Data sets in the layouts they are published in.

Each loader takes the set's root folder and returns its sequences with boxes in 0-based pixels.
Sets annotated in MATLAB (OTB, UAV123, LaSOT) count pixels from 1. A frame flagged as absent has a
NaN box. Where only the first box is published (the test sets of GOT-10k and TrackingNet) the
others are NaN: results can be written for submission but not scored.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from dcfst_core.evaluation.metrics import FloatArray
from dcfst_core.evaluation.otb_spans import annotated_span
from dcfst_core.evaluation.sequences import (
    AnnotatedSequence,
    DatasetError,
    DatasetWarning,
    Loaded,
    attribute_names,
    collect,
    hide,
    lines_of,
    list_images,
    match_lengths,
    read_boxes,
    read_flags,
)
from dcfst_core.evaluation.uav123 import load_uav123
from dcfst_core.evaluation.vot_regions import read_regions

OTB_ATTRIBUTES = ("IV", "OPR", "SV", "OCC", "DEF", "MB", "FM", "IPR", "OV", "BC", "LR")
LASOT_ATTRIBUTES = (
    *("IV", "POC", "DEF", "MB", "CM", "ROT", "BC"),
    *("VC", "SV", "FOC", "FM", "OV", "LR", "ARC"),
)


def load_otb(root: Path) -> Loaded:
    """OTB2013/2015 and sets in its layout: `<seq>/img/*.jpg`, `<seq>/groundtruth_rect.txt`.

    Sequences may lie in folders of sets. A sequence with two targets (`groundtruth_rect.1.txt`,
    `.2.txt`) becomes two, `<seq>-1` and `<seq>-2`. Attributes come from `att/<seq>.txt` or
    `anno/att/<seq>.txt` where present.
    """
    files = [p for p in _find(root, "groundtruth_rect*.txt") if p.stat().st_size > 0]

    def load(path: Path) -> AnnotatedSequence:
        folder = path.parent
        target = re.search(r"\.(\d)\.txt$", path.name)
        boxes = read_boxes(path, origin=1)
        frames, boxes = annotated_span(path, list_images(folder / "img"), boxes)
        return AnnotatedSequence(
            name=f"{folder.name}-{target[1]}" if target else folder.name,
            frames=frames,
            truth_xywh=match_lengths(folder.name, frames, boxes),
            attributes=_attributes(root, folder, OTB_ATTRIBUTES),
            group=_group(folder, root),
            origin=1,
        )

    return collect(files, load)


def load_got10k(root: Path) -> Loaded:
    """GOT-10k: `[train|val|test/]<seq>/*.jpg`, `groundtruth.txt`, `absence.label`."""

    def load(path: Path) -> AnnotatedSequence:
        folder = path.parent
        frames = list_images(folder)
        boxes = match_lengths(folder.name, frames, read_boxes(path))
        absent = read_flags(folder / "absence.label")
        return AnnotatedSequence(
            name=folder.name,
            frames=frames,
            truth_xywh=hide(boxes, absent, folder / "absence.label"),
            group=_group(folder, root),
        )

    return collect(_find(root, "groundtruth.txt"), load)


def load_lasot(root: Path) -> Loaded:
    """LaSOT: `[<class>/]<class>-<n>/img/*.jpg`, `groundtruth.txt`, absence flags.

    Only the sequences named in `testing_set.txt` are taken where that file lies in the root.
    """
    names = _listed(root / "testing_set.txt")

    def load(path: Path) -> AnnotatedSequence:
        folder = path.parent
        frames = list_images(folder / "img")
        boxes = match_lengths(folder.name, frames, read_boxes(path, origin=1))
        for flags in ("full_occlusion.txt", "out_of_view.txt"):
            boxes = hide(boxes, read_flags(folder / flags), folder / flags)
        return AnnotatedSequence(
            name=folder.name,
            frames=frames,
            truth_xywh=boxes,
            attributes=_attributes(root, folder, LASOT_ATTRIBUTES),
            group=folder.name.rsplit("-", 1)[0],
            origin=1,
        )

    files = _find(root, "groundtruth.txt")
    return collect([f for f in files if not names or f.parent.name in names], load)


def load_nfs(root: Path) -> Loaded:
    """Need for Speed: `<seq>/30/<seq>/*.jpg` and `<seq>/30/<seq>.txt`; 240 fps where 30 lacks.

    Lines hold `target x0 y0 x1 y1 frame lost occluded generated "class"`. The 30 fps files repeat
    the 240 fps boxes, so that every eighth is used.
    """
    folders = sorted({p.parent for p in root.glob("*/30/*.txt")})
    folders = folders or sorted({p.parent for p in root.glob("*/240/*.txt")})
    files = [p for folder in folders for p in folder.glob("*.txt") if p.with_suffix("").is_dir()]

    def load(path: Path) -> AnnotatedSequence:
        frames = list_images(path.with_suffix(""))
        boxes = _nfs_boxes(path)
        if len(boxes) >= 7 * len(frames):
            boxes = boxes[::8]
        if len(frames) == len(boxes) + 1:  # several sequences end one box early
            frames = frames[: len(boxes)]
        boxes = match_lengths(path.stem, frames, boxes)
        return AnnotatedSequence(path.stem, frames, boxes, group=f"NfS{path.parent.name}")

    return collect(files, load)


def load_trackingnet(root: Path) -> Loaded:
    """TrackingNet: `[TEST|TRAIN_n/]anno/<seq>.txt` and `frames/<seq>/*.jpg`."""

    def load(path: Path) -> AnnotatedSequence:
        part = path.parent.parent
        frames = list_images(part / "frames" / path.stem)
        boxes = match_lengths(path.stem, frames, read_boxes(path))
        return AnnotatedSequence(path.stem, frames, boxes, group=part.name)

    return collect([*root.glob("anno/*.txt"), *root.glob("*/anno/*.txt")], load)


def load_vot(root: Path) -> Loaded:
    """VOT: `<seq>/groundtruth.txt`, images in `<seq>/color/` or `<seq>/`, `*.tag` attributes.

    Rectangles, polygons and masks alike become their bounding box. The objects of a sequence with
    several (`groundtruth_<object>.txt`) become `<seq>-<object>`. Only the sequences named in
    `list.txt` are taken where there is one. One pass over each sequence, without VOT's restarts;
    for the challenge's own measures use the VOT toolkit.
    """
    names = _listed(root / "list.txt")

    def load(path: Path) -> AnnotatedSequence:
        folder = path.parent
        target = re.fullmatch(r"groundtruth_(\w+)\.txt", path.name)
        name = f"{folder.name}-{target[1]}" if target else folder.name
        colour = folder / "color"
        frames = list_images(colour if colour.is_dir() else folder)
        boxes = read_regions(path)
        tags = tuple(
            sorted(
                t.stem
                for t in folder.glob("*.tag")
                if not t.name.startswith(".") and read_flags(t).any()
            )
        )
        boxes = match_lengths(name, frames, boxes)
        return AnnotatedSequence(name, frames, boxes, tags, _group(folder, root))

    files = _find(root, "groundtruth*.txt")
    return collect([f for f in files if not names or f.parent.name in names], load)


FORMATS: dict[str, Callable[[Path], Loaded]] = {
    "otb": load_otb,
    "got10k": load_got10k,
    "lasot": load_lasot,
    "nfs": load_nfs,
    "uav123": load_uav123,
    "trackingnet": load_trackingnet,
    "vot": load_vot,
}


def load_sequences(
    root: str | Path, layout: str = "otb", only: Iterable[str] = ()
) -> list[AnnotatedSequence]:
    """Load a data set's sequences.

    `layout`: a key of `FORMATS`. `only`: names of sequences to keep (all when empty). Sequences of
    one name in several groups become `<group>-<name>`. A sequence that cannot be used is left out
    with a DatasetWarning that says why. DatasetError when the folder does not hold that layout,
    none of its sequences can be used, or a wanted one is not there.
    """
    root = Path(root)
    if layout not in FORMATS:
        raise DatasetError(f"expected a format out of {', '.join(FORMATS)}; got {layout!r}")
    if not root.is_dir():
        raise DatasetError(f"expected a data set folder; there is none at {root.absolute()}")
    loaded = FORMATS[layout](root)
    for reason in loaded.unusable.values():
        if loaded:
            warnings.warn(f"{reason}; left out", DatasetWarning, stacklevel=2)
    sequences = _unique_names(loaded)
    if not sequences and loaded.unusable:
        first, *others = loaded.unusable.values()
        raise DatasetError(f"{first}{f' (and {len(others)} more like it)' if others else ''}")
    if not sequences:
        expected = (FORMATS[layout].__doc__ or "").strip().split("\n")[0]
        raise DatasetError(f"found no sequences in {root}; expected {expected}")
    wanted = set(only)
    missing = wanted - {s.name for s in sequences}
    if missing:
        raise DatasetError(
            f"no sequence named {', '.join(sorted(missing))} in {root}; "
            f"there are {', '.join(s.name for s in sequences)}"
        )
    return [s for s in sequences if not wanted or s.name in wanted]


def _find(root: Path, pattern: str) -> list[Path]:
    """Find annotation files in the root itself and up to two folders of sets below it."""
    depths = ("", "*/", "*/*/", "*/*/*/")
    return [path for depth in depths for path in root.glob(depth + pattern)]


def _group(folder: Path, root: Path) -> str:
    return "" if folder.parent == root or folder == root else folder.parent.name


def _unique_names(sequences: list[AnnotatedSequence]) -> list[AnnotatedSequence]:
    names = [s.name for s in sequences]
    return [
        replace(s, name=f"{s.group}-{s.name}") if s.group and names.count(s.name) > 1 else s
        for s in sequences
    ]


def _listed(path: Path) -> set[str]:
    return (
        {name for _, line in lines_of(path) for name in line.split()} if path.is_file() else set()
    )


def _attributes(root: Path, folder: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    file = f"{folder.name}.txt"
    places = [root / "att" / file, root / "anno" / "att" / file, folder.parent / "att" / file]
    found = next((p for p in places if p.is_file()), places[0])
    return attribute_names(found, names)


def _nfs_boxes(path: Path) -> FloatArray:
    rows = []
    for number, line in lines_of(path):
        cells = line.split()
        try:
            x0, y0, x1, y1 = (float(c) for c in cells[1:5])
            lost = cells[6] == "1"
        except (ValueError, IndexError):
            raise DatasetError(
                f"{path}, line {number}: expected `target x0 y0 x1 y1 frame lost …`; got {line!r}"
            ) from None
        rows.append([np.nan] * 4 if lost else [x0, y0, x1 - x0, y1 - y0])
    return np.array(rows, dtype=np.float64).reshape(-1, 4)
