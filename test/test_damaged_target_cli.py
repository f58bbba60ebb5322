"""A target whose model is damaged: the commands say so, frame by frame, and go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcfst_core import Tracker
from dcfst_core.cli.main import main
from dcfst_core.evaluation.image_bags import write_image_bag
from dcfst_core.evaluation.synthetic import SyntheticClip
from dcfst_core.media.video import VideoWriter

CLIP = SyntheticClip(frames=6, size=(160, 120), target=(24, 30), period=60)


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A NaN gets into every target's sums after its first frame, as from faulty memory."""
    start = Tracker.init

    def init(self: Tracker, *arguments: object) -> object:
        track = start(self, *arguments)
        for target in self._targets.values():
            target.model.memory.lasting.gram[0, 3, 3] = float("nan")
        return track

    monkeypatch.setattr(Tracker, "init", init)


@pytest.fixture
def settings(untrained: str, small: list[str]) -> list[str]:
    """An update in every frame, of whatever is found."""
    thresholds = ("lost_threshold", "tracking_threshold", "learning_threshold")
    sets = [text for name in thresholds for text in ("--set", f"{name}=0")]
    return ["--weights", untrained, "--device", "cpu", *small, "--set", "update_interval=1", *sets]


@pytest.fixture
def box() -> str:
    return ",".join(str(value) for value in CLIP.boxes_xywh()[0])


def test_track_says_that_a_model_was_given_up(
    damaged: None,
    settings: list[str],
    box: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with VideoWriter(tmp_path / "v.avi", 25.0) as writer:
        for frame in CLIP:
            writer.write(frame)
    assert main(["track", str(tmp_path / "v.avi"), "--init", box, "--quiet", *settings]) == 0
    said = capsys.readouterr()
    assert "dcfst track: frame 1: target: its model was given up for the first" in said.err
    assert len(said.out.splitlines()) == 7


def test_bag_says_that_a_model_was_given_up(
    damaged: None,
    settings: list[str],
    box: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bag = write_image_bag(tmp_path / "drive", CLIP)
    arguments = ["bag", str(bag), "--image-topic", "/camera/image_raw", "--init", box, "--quiet"]
    assert main([*arguments, *settings]) == 0
    assert "dcfst bag: image 2: target: its model was given up" in capsys.readouterr().err
