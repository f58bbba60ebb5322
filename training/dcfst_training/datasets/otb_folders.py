"""Videos in the OTB layout: `<sequence>/img/*.jpg` and `<sequence>/groundtruth_rect.txt`.

Beside the sets an `index.json` may say more of each sequence (`SequenceFacts`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dcfst_core.evaluation.sequences import read_boxes
from dcfst_training.datasets.clips import MALFORMED, Clip, ClipList, DatasetLayoutError


@dataclass(frozen=True)
class SequenceFacts:
    """What `index.json` says of a sequence."""

    source: str = ""
    """Where it comes from; sequences of one source may show one video."""
    loose: bool = False
    """Whether its boxes only say about where the target is (`box_quality: loose`)."""


def read_facts(root: str | Path) -> dict[tuple[str, str], SequenceFacts]:
    """What `index.json` in `root` says, by set and sequence; empty where there is none.

    It is a list of {set, sequence, source?, box_quality?, …}. Raises DatasetLayoutError.
    """
    path = Path(root) / "index.json"
    if not path.is_file():
        return {}
    try:
        return {
            (item["set"], item["sequence"]): SequenceFacts(
                str(item.get("source") or ""), item.get("box_quality") == "loose"
            )
            for item in json.loads(path.read_text())
        }
    except MALFORMED as error:
        raise DatasetLayoutError(
            f"expected a list of {{set, sequence, box_quality, …}} in {path}; "
            f"{type(error).__name__}: {error}"
        ) from error


def OTBFolders(
    root: str | Path,
    name: str | None = None,
    one_based: bool = False,
    facts: Mapping[tuple[str, str], SequenceFacts] | None = None,
) -> ClipList:
    """The sequences below a folder, at any depth.

    `one_based`: the published OTB files count pixels from 1. `facts`: of `read_facts`. Raises
    DatasetError.
    """
    root = Path(root)
    name = name or root.name
    clips = []
    for boxes_file in sorted(root.rglob("groundtruth_rect.txt")):
        folder = boxes_file.parent
        frames = tuple(sorted((folder / "img").glob("*.[jp][pn]g")))
        boxes = read_boxes(boxes_file, origin=int(one_based))
        shorter = min(len(frames), len(boxes))
        if not shorter:
            raise DatasetLayoutError(f"expected frames in {folder / 'img'}; found none")
        sequence = str(folder.relative_to(root))
        known = (facts or {}).get((name, sequence))
        clips.append(
            Clip(
                f"{name}/{sequence}",
                frames[:shorter],
                boxes[:shorter],
                # Of listed sequences also those of one name: two sets may hold one video.
                related=(known.source, f"a video called {sequence}") if known else (),
                exact=not (known and known.loose),
            )
        )
    if not clips:
        raise DatasetLayoutError(
            f"expected sequences with img/*.jpg and groundtruth_rect.txt below {root}; found none"
        )
    return ClipList(name, tuple(clips))
