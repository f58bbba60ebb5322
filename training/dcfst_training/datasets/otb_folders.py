"""Videos in the OTB layout: `<sequence>/img/*.jpg` and `<sequence>/groundtruth_rect.txt`."""

from __future__ import annotations

from pathlib import Path

from dcfst_core.evaluation.sequences import read_boxes
from dcfst_training.datasets.clips import Clip, ClipList, DatasetLayoutError


def OTBFolders(root: str | Path, name: str | None = None, one_based: bool = False) -> ClipList:
    """The sequences below a folder, at any depth.

    `one_based`: the published OTB files count pixels from 1. Raises DatasetError.
    """
    root = Path(root)
    clips = []
    for boxes_file in sorted(root.rglob("groundtruth_rect.txt")):
        folder = boxes_file.parent
        frames = tuple(sorted((folder / "img").glob("*.[jp][pn]g")))
        boxes = read_boxes(boxes_file, origin=int(one_based))
        shorter = min(len(frames), len(boxes))
        if not shorter:
            raise DatasetLayoutError(f"expected frames in {folder / 'img'}; found none")
        clips.append(Clip(str(folder.relative_to(root)), frames[:shorter], boxes[:shorter]))
    if not clips:
        raise DatasetLayoutError(
            f"expected sequences with img/*.jpg and groundtruth_rect.txt below {root}; found none"
        )
    return ClipList(name or root.name, tuple(clips))
