"""Ids, names and playlists from elsewhere cannot lead out of the folder that was given."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dcfst_core import load_tracker
from dcfst_core.cli.targets import save_targets
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.frames import VideoError
from dcfst_core.media.sinks import VideoWriter
from dcfst_core.media.video import open_frames
from dcfst_core.tracking.config import TrackerConfig

BAD_IDS = ("../../escaped", "/tmp/escaped", "a/../../b", "..", "nul\0byte", "new\nline")


def test_a_targets_id_cannot_choose_where_it_is_saved(untrained: str, tmp_path: Path) -> None:
    config = TrackerConfig(box_refinement=False, patch_size=96, grid_size=11, grid_spacing=4)
    tracker = load_tracker(untrained, config, "cpu")
    clip = SyntheticClip(1, (160, 120), (24, 30))
    frame, box = next(iter(clip)), tuple(clip.boxes_xywh()[0])
    for target_id in BAD_IDS:
        tracker.init(frame, box, target_id)
    folder = tmp_path / "deep" / "er"
    save_targets(tracker, argparse.Namespace(save=folder / "cup.target"))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written and all(path.parent == folder for path in written)
    assert not Path("/tmp/escaped.target").exists()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A video that the user did not name."""
    path = tmp_path / "elsewhere" / "secret.mp4"
    path.parent.mkdir()
    with VideoWriter(path, 25) as writer:
        for _ in range(5):
            writer.write(np.full((120, 160, 3), 200, np.uint8), None)
    return path


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile '{path}'\n",
        "ffconcat version 1.0\nfile '../elsewhere/secret.mp4'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_file_called_a_video_cannot_play_another(
    playlist: str, secret: Path, tmp_path: Path
) -> None:
    """FFmpeg knows lists of files and addresses by their content, whatever they are called."""
    (tmp_path / "given").mkdir()
    given = tmp_path / "given" / "clip.mp4"
    given.write_text(playlist.format(path=secret))
    assert len(list(open_frames(secret))) == 5
    with pytest.raises(VideoError):
        list(open_frames(given))


def test_a_video_with_an_addresss_name_is_a_file(tmp_path: Path) -> None:
    """`12:30.mp4` and `pipe:0` in a folder are files, not protocols of FFmpeg."""
    for name in ("pipe:0", "http:x.mp4", "concat:a|b"):
        (tmp_path / name).write_text("no video")
        with pytest.raises(VideoError, match="cannot be opened as one"):
            open_frames(tmp_path / name)


def test_names_with_shell_characters_are_names(untrained: str, tmp_path: Path) -> None:
    """Through the real command, with a real file: nothing of a name is run."""
    mark = tmp_path / "mark"
    path = tmp_path / f"a;touch {mark.name};$(touch {mark.name})`touch {mark.name}`.mp4"
    clip = SyntheticClip(2, (160, 120), (24, 30))
    with VideoWriter(path, 25) as writer:
        for frame in clip:
            writer.write(frame, None)
    box = ",".join(f"{v:.1f}" for v in clip.boxes_xywh()[0])
    command = [
        sys.executable,
        "-m",
        "dcfst_core.cli",
        "track",
        str(path),
        "--init",
        box,
        "--weights",
        untrained,
    ]
    command += ["--set", "box_refinement=false", "--set", "patch_size=96", "--set", "grid_size=11"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not mark.exists()


def test_coco_cannot_name_an_image_outside_of_its_folder(tmp_path: Path) -> None:
    coco = pytest.importorskip("dcfst_training.datasets.coco")
    layouts = pytest.importorskip("dcfst_training.datasets.layouts")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "train2017").mkdir()
    for name in ("../secret.jpg", "/etc/passwd"):
        image = {"id": 1, "file_name": name, "width": 100, "height": 100}
        thing = {"id": 1, "image_id": 1, "bbox": [10, 10, 40, 40], "iscrowd": 0}
        content = {"images": [image], "annotations": [thing], "categories": []}
        (tmp_path / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
        with pytest.raises(layouts.DatasetLayoutError, match="one is named"):
            coco.COCO(tmp_path)
