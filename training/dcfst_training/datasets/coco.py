"""COCO: `annotations/instances_<split>.json`, images in `<split>/` or `images/<split>/`."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from dcfst_training.datasets.clips import MALFORMED, Clip, DatasetLayoutError
from dcfst_training.datasets.layouts import wrong_layout
from dcfst_training.datasets.lazy import LazyClips
from dcfst_training.datasets.stills import can_be_target


class COCO(LazyClips[int]):
    """The objects of COCO's images, each a clip of one frame.

    `root`: the folder that holds `annotations/`. `split`: `train2017`, `val2017`, … Left out:
    crowds, and what `stills.can_be_target` rules out. Reading the annotation of train2017 takes
    about half a minute. Raises DatasetLayoutError.
    """

    name = "coco"

    def __init__(self, root: str | Path, split: str = "train2017") -> None:
        root = Path(root)
        annotation = root / "annotations" / f"instances_{split}.json"
        places = [root / split, root / "images" / split]
        self.folder = next((place for place in places if place.is_dir()), None)
        if not annotation.is_file() or self.folder is None:
            raise wrong_layout(
                root, "coco", f"annotations/{annotation.name} and the images in {split}/"
            )
        try:
            content = json.loads(annotation.read_bytes())
            self._index(content)
        except MALFORMED as error:
            raise DatasetLayoutError(
                f"expected COCO's instances with images, annotations and categories in "
                f"{annotation}; {type(error).__name__}: {error}"
            ) from error
        if not len(self.boxes):
            raise DatasetLayoutError(f"expected objects in {annotation}; found none")
        super().__init__(range(len(self.boxes)))
        self.check_first()

    def _index(self, content: dict[str, Any]) -> None:
        # Arrays, not 860,000 objects: loader processes then share one copy of the index.
        images = content["images"]
        rows = {image["id"]: row for row, image in enumerate(images)}
        areas = np.array([image["width"] * image["height"] for image in images], dtype=float)
        names = [PurePosixPath(image["file_name"]) for image in images]
        outside = next((name for name in names if name.is_absolute() or ".." in name.parts), None)
        if outside is not None:
            raise DatasetLayoutError(f"expected images in {self.folder}; one is named {outside}")
        self.files = np.array([str(name) for name in names])
        things = [thing for thing in content["annotations"] if not thing.get("iscrowd")]
        boxes = np.array([thing["bbox"] for thing in things], dtype=np.float64).reshape(-1, 4)
        image = np.array([rows[thing["image_id"]] for thing in things], dtype=np.int64)
        numbers = np.array([thing["id"] for thing in things], dtype=np.int64)
        kept = can_be_target(boxes[:, 2:], areas[image])
        self.boxes, self.image, self.numbers = boxes[kept], image[kept], numbers[kept]

    def name_of(self, entry: int) -> str:
        """`coco/<image>#<object>`."""
        image = Path(str(self.files[self.image[entry]])).stem
        return f"{self.name}/{image}#{self.numbers[entry]}"

    def load(self, entry: int) -> Clip:
        """One object."""
        assert self.folder is not None
        file = str(self.files[self.image[entry]])
        return Clip(self.name_of(entry), (self.folder / file,), self.boxes[entry : entry + 1])
