"""Scenarios are made, replayed and judged; what fails is told with what was expected."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from dcfst_core.cli.main import main
from dcfst_core.evaluation.scenarios import Scenario, ScenarioError, measure, read_scenario
from dcfst_core.track import Track, TrackState

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_scenarios.py"


def make(folder: Path, *names: str) -> Path:
    command = [sys.executable, str(SCRIPT), str(folder), "--only", *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("scenarios"), "steady", "vanishes")


@pytest.mark.timeout(600)
def test_scenarios_pass_with_the_shipped_tracker(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    arguments = ["scenario", str(made), "--config", "fast", "--device", "cpu", "--json", str(out)]
    assert main(arguments) == 0, capsys.readouterr().out
    shown = capsys.readouterr().out
    assert "steady: passed" in shown and "vanishes: passed" in shown
    outcomes = {outcome["name"]: outcome for outcome in json.loads(out.read_text())}
    assert outcomes["vanishes"]["measured"]["relocks"] == 0
    assert outcomes["steady"]["frames"] == 60


def test_what_is_not_met_is_told(
    made: Path,
    tmp_path: Path,
    untrained: str,
    small: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "bag").symlink_to(made / "steady" / "bag")
    given = yaml.safe_load((made / "steady" / "scenario.yaml").read_text())
    given["pass"] = {"rate": 1e9, "iou": 0.5}
    given["truth"] = False
    (folder / "scenario.yaml").write_text(yaml.safe_dump(given))
    with pytest.raises(ScenarioError, match="a name in the scenario's own folder"):
        read_scenario(folder)
    (folder / "bag").unlink()
    (made / "steady" / "bag").rename(folder / "bag")
    try:
        assert main(["scenario", str(folder), "--weights", untrained, *small]) == 1
    finally:
        (folder / "bag").rename(made / "steady" / "bag")
    shown = capsys.readouterr().out
    assert "rate: expected at least 1e+09, got" in shown
    assert "iou: cannot be measured: it needs truth" in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[", "expected a scenario in"),
        ("bag: b", "expected bag, topic, box and pass"),
        ("{bag: b, topic: t, box: [1, 2, 3], pass: {}}", "ValueError"),
        ("{bag: b, topic: t, box: [1, 2, 3, 4], pass: {speed: 3}}", r"unknown \['speed'\]"),
        ("{bag: ../b, topic: t, box: [1, 2, 3, 4], pass: {}}", "own folder"),
        ("{bag: b, topic: t, box: [1, 2, 3, 4], pas: {}, pass: {}}", r"unknown \['pas'\]"),
    ],
)
def test_a_bad_scenario_is_named(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "scenario.yaml").write_text(text)
    with pytest.raises(ScenarioError, match=expected) as caught:
        read_scenario(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_an_empty_folder_and_a_name_that_is_not_there_are_told(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scenario", str(tmp_path)]) == 1
    assert main(["scenario", str(made), "--only", "nothing"]) == 1
    assert "there is no nothing" in capsys.readouterr().err


def test_figures_by_hand() -> None:
    """Twelve frames: absent in 4 to 7, said so from 6 on, found again in frame 9."""
    seen, lost = TrackState.TRACKING, TrackState.LOST
    states = [seen] * 6 + [lost] * 3 + [seen] * 3
    boxes = [(10.0, 10.0, 20.0, 20.0)] * 11 + [(100.0, 10.0, 20.0, 20.0)]
    truth = np.array([(10.0, 10.0, 20.0, 20.0)] * 12)
    truth[4:8] = np.nan
    tracks = [Track("t", box, 0.9, state) for box, state in zip(boxes, states, strict=True)]
    scenario = Scenario(
        "hand", Path("b"), "t", boxes[0], truth_xywh=truth, absent=((4, 7),), conditions={}
    )
    figures = measure(scenario, tracks)
    assert figures["lost_within"] == 2 and figures["found_within"] == 1
    assert figures["relocks"] == 1  # the last frame lies elsewhere
    assert figures["iou"] == pytest.approx(6 / 7)
    assert figures["seen"] == pytest.approx(6 / 8)
