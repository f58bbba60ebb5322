"""What a track says of itself; and that it is there without PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import pytest

from dcfst_core.track import Evidence, Track, TrackState


@pytest.mark.parametrize("state", TrackState)
def test_a_state_prints_as_its_word(state: TrackState) -> None:
    assert str(state) == f"{state}" == state.value == state.name.lower()
    assert json.dumps(state) == f'"{state.value}"'
    assert TrackState(state.value) is state


def test_tracks_are_equal_by_what_they_say_not_by_how_they_came_to_it(
    evidence: Callable[..., Evidence],
) -> None:
    track = Track("a", (1.0, 2.0, 3.0, 4.0), 0.5, TrackState.TRACKING)
    assert track == replace(
        track, presence=0.7, evidence=evidence(), last_seen_box_xywh=(0.0, 0.0, 1.0, 1.0)
    )
    assert track != replace(track, score=0.4)
    with pytest.raises(FrozenInstanceError):
        track.score = 1.0  # type: ignore[misc]


def test_a_track_costs_no_pytorch() -> None:
    code = "import sys, dcfst_core.track; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
