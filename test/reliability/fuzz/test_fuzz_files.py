"""Files whose bytes were changed: read, or refused with the reason, in bounded memory."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzzing import Fuzz
from safetensors.torch import save

from dcfst_core import Tracker, TrackerConfig
from dcfst_core.cli.options import OptionError, _base_config
from dcfst_core.evaluation.image_bags import write_image_bag
from dcfst_core.evaluation.sequences import read_boxes, read_flags
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.evaluation.vot_regions import read_regions
from dcfst_core.media.bags import ImageBag
from dcfst_core.media.image_messages import to_rgb
from dcfst_core.network.checkpoint import load_model
from dcfst_core.tracking.saved_target import merge_targets, read_target

ROWS = [
    b"1,2,30,40\r\n2,3,30,40\r\nNaN,NaN,NaN,NaN\r\n5,6,30,40",
    b"\xef\xbb\xbf1\t2\t30\t40\n1e2;2;3;4\n\n0 0 0 0\n",
    "1,2,30,40\n2,3,30,40".encode("utf-16"),
    b"0\n1\n0\n1\n",
]
REGIONS = [
    b"10.5,20,30,40\n10,10,20,10,20,20,10,20\nm5,6,4,3,2,3,4,3\n0\n2\nnan\n",
    b"m0,0,100,100,5000,5000\nm1,1,2,2,0,4\n",
]


def on_file(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    """A check that writes the bytes to a file and reads it."""

    def check(data: bytes) -> None:
        path.write_bytes(data)
        read(path)

    return check


@pytest.mark.fuzz(12)
def test_ground_truth_of_boxes_and_flags(fuzz: Fuzz, tmp_path: Path) -> None:
    def read(path: Path) -> None:
        with contextlib.suppress(ValueError):  # flags need not fit where boxes do
            read_flags(path)
        boxes = read_boxes(path, origin=1)
        there = np.isfinite(boxes).all(axis=1)
        assert boxes.shape[1] == 4 and (boxes[there, 2:] > 0).all()
        assert np.isnan(boxes[~there]).all()

    fuzz.mutate(ROWS, on_file(tmp_path / "groundtruth.txt", read))


@pytest.mark.fuzz(12)
def test_ground_truth_of_regions(fuzz: Fuzz, tmp_path: Path) -> None:
    def read(path: Path) -> None:
        boxes = read_regions(path)
        assert boxes.shape[1] == 4 and not np.isinf(boxes).any()

    fuzz.mutate(REGIONS, on_file(tmp_path / "groundtruth.txt", read))


@pytest.mark.fuzz(4)
def test_settings_files(fuzz: Fuzz, tmp_path: Path) -> None:
    values = TrackerConfig.fast().to_dict()
    lines = "\n".join(f"{name}: {json.dumps(value)}" for name, value in values.items())
    samples = [json.dumps(values).encode(), lines.encode(), b"patch_size: &a [*a]\n"]

    def read(path: Path) -> None:
        with contextlib.suppress(ValueError, TypeError):  # the caller names the option
            _base_config(str(path))

    yaml, both = on_file(tmp_path / "c.yaml", read), on_file(tmp_path / "c.json", read)
    fuzz.mutate(samples, lambda data: (both(data), yaml(data) if len(data) < 4096 else None))
    assert issubclass(OptionError, Exception)


@pytest.mark.fuzz(2)
def test_metadata_beside_weights(fuzz: Fuzz, untrained: str, tmp_path: Path) -> None:
    """The tensors are too few, so what is good about the metadata ends in an error as well."""
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(save({"a": torch.zeros(2)}))
    sample = Path(untrained).with_suffix(".json").read_bytes()
    more = b'{"architecture": {"dimensions": 1024, "residual": true}, "steps": 3, "settings": {}}'

    def read(path: Path) -> None:
        load_model(weights)

    fuzz.mutate([sample, more], on_file(tmp_path / "w.json", read))


@pytest.mark.fuzz(1)
def test_headers_of_weights(fuzz: Fuzz, untrained: str, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    (tmp_path / "w.json").write_bytes(Path(untrained).with_suffix(".json").read_bytes())
    sample = save({"a": torch.zeros(2), "b.c": torch.ones(3, 2)}, {"format": "pt"})
    fuzz.mutate([sample], on_file(weights, load_model))


@pytest.fixture(scope="module")
def small_tracker(untrained: str) -> Tracker:
    config = TrackerConfig(patch_size=96, grid_size=5, box_refinement=False)
    return Tracker(load_model(untrained), config)


@pytest.mark.fuzz(2)
def test_saved_targets(fuzz: Fuzz, small_tracker: Tracker, tmp_path: Path) -> None:
    """Header and first tensors are changed; what is read can be merged, taken up and followed."""
    clip = SyntheticClip(frames=2, size=(160, 120), target=(24, 30), period=60)
    frames = list(clip)
    small_tracker.init(frames[0], tuple(clip.boxes_xywh()[0]), "cup")
    small_tracker.save_target("cup", tmp_path / "good.target")
    good = (tmp_path / "good.target").read_bytes()
    head = 8 + int.from_bytes(good[:8], "little") + 256
    samples = [good[:head]]

    def read(path: Path) -> None:
        path.write_bytes(path.read_bytes() + good[head:])
        saved = read_target(path)
        merge_targets(saved, saved)
        small_tracker.load_target(saved, "taken up")
        try:
            track = small_tracker.update_all(frames[1], only=["taken up"])["taken up"]
        finally:
            small_tracker.release("taken up")
        assert np.isfinite(track.box_xywh).all() and 0 <= track.score <= 1

    fuzz.mutate(samples, on_file(tmp_path / "cup.target", read))


@pytest.mark.fuzz(1)
def test_recordings(fuzz: Fuzz, tmp_path: Path) -> None:
    frames = list(SyntheticClip(frames=4, size=(32, 24), target=(8, 8), period=60))
    bag = write_image_bag(tmp_path / "drive", frames)
    (recording,) = bag.glob("*.mcap")

    def read(path: Path) -> None:
        with ImageBag(path, "/camera/image_raw") as source:
            for connection, _, data in source.messages():
                if source.is_image(connection):
                    assert to_rgb(source.image(connection, data)).ndim == 3

    fuzz.mutate([recording.read_bytes()], on_file(tmp_path / "a.mcap", read))


@pytest.mark.fuzz(3)
def test_labels_to_train_on(fuzz: Fuzz, tmp_path: Path) -> None:
    datasets = pytest.importorskip("dcfst_training.datasets")
    stills = pytest.importorskip("dcfst_training.datasets.stills")
    facts = pytest.importorskip("dcfst_training.datasets.otb_folders")
    coco = {
        "images": [{"id": 7, "width": 64, "height": 48, "file_name": "7.jpg"}],
        "annotations": [{"id": 1, "image_id": 7, "bbox": [2, 3, 20, 20], "category_id": 1}],
        "categories": [{"id": 1, "name": "cup"}],
    }
    still = [{"file": "a.jpg", "width": 64, "height": 48, "objects": [{"box": [1, 2, 20, 20]}]}]
    index = [{"set": "s", "sequence": "q", "source": "v", "box_quality": "loose"}]
    for folder in ("annotations", "train2017", "images"):
        (tmp_path / folder).mkdir()
    (tmp_path / "train2017" / "7.jpg").write_bytes(b"")

    def check(data: bytes) -> None:
        for path, read in (
            (tmp_path / "annotations" / "instances_train2017.json", datasets.COCO),
            (tmp_path / "boxes.json", stills.BoxStills),
            (tmp_path / "index.json", facts.read_facts),
        ):
            path.write_bytes(data)
            with contextlib.suppress(datasets.DatasetLayoutError):
                read(tmp_path)

    fuzz.mutate([json.dumps(sample).encode() for sample in (coco, still, index)], check)
