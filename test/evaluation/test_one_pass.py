"""One-pass evaluation with a real, simple tracker, its files, and what resuming means."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from dcfst_core.errors import CheckpointError
from dcfst_core.evaluation import one_pass, results, trackers
from dcfst_core.evaluation.datasets import load_sequences
from dcfst_core.evaluation.sequences import AnnotatedSequence, DatasetError
from dcfst_core.evaluation.summary import comparison_table, evaluate, sequence_table
from dcfst_core.evaluation.trackers import OpenCVTracker, TrackerSpec, TrackerUnavailable


class StaticTracker:
    """The first box for ever, as a plain tuple."""

    def init(self, frame: np.ndarray, box: tuple[float, ...]) -> None:
        self.box = box

    def update(self, frame: np.ndarray) -> tuple[float, ...]:
        return self.box


@pytest.fixture
def otb(tmp_path: Path, write_otb: Callable[..., str]) -> list[AnnotatedSequence]:
    return load_sequences(write_otb(tmp_path / "otb", frames=12))


def test_a_tracker_that_works_scores_high_and_one_that_stands_low(
    template_tracker: type[Any], otb: list[AnnotatedSequence]
) -> None:
    evaluations = []
    for name, tracker in (("template", template_tracker()), ("static", StaticTracker())):
        found = {s.name: one_pass.run_sequence(tracker, s) for s in otb}
        evaluations.append(evaluate(name, found, otb))
    template, static = evaluations
    assert template.mean.auc > 0.85 and template.mean.precision == 1.0
    assert static.mean.auc < 0.6 < template.mean.auc
    assert template.mean.frames == 22 and template.mean.fps > 0
    text = sequence_table(template)
    assert [line.split()[1] for line in text.splitlines()[2:]] == ["A", "B", "mean"]
    assert f"{template.mean.auc:.3f}" in text
    assert "static" in comparison_table(evaluations)
    document = json.loads(json.dumps(static.to_dict()))
    assert document["sequences"]["B"]["auc"] == static.scores["B"].auc
    assert len(document["success_curve"]) == 21


def test_results_are_in_the_got10k_layout_and_read_back(
    template_tracker: type[Any], tmp_path: Path, otb: list[AnnotatedSequence]
) -> None:
    run = one_pass.run_sequence(template_tracker(), otb[0])
    results.save_result(tmp_path / "out", "t", otb[0], run, "abc")
    folder = tmp_path / "out" / "t" / "A"
    rows = np.loadtxt(folder / "A_001.txt", delimiter=",")
    # OTB's own toolkits count pixels from 1.
    np.testing.assert_allclose(rows[:, :2], run.boxes_xywh[:, :2] + 1, atol=1e-4)
    assert len(np.loadtxt(folder / "A_time.txt")) == 12
    back = results.load_result(tmp_path / "out" / "t", otb[0])
    np.testing.assert_allclose(back.boxes_xywh, run.boxes_xywh, atol=1e-4)
    np.testing.assert_allclose(back.scores, run.scores, atol=1e-6)
    assert back.states == run.states and back.states[5] == "tracking"


def test_flat_files_of_other_trackers_are_read_and_checked(
    tmp_path: Path, otb: list[AnnotatedSequence]
) -> None:
    rows = otb[0].truth_xywh + np.array([1, 1, 0, 0])
    np.savetxt(tmp_path / "A.txt", rows, delimiter="\t")
    read = results.load_result(tmp_path, otb[0])
    np.testing.assert_allclose(read.boxes_xywh, otb[0].truth_xywh)
    assert np.isnan(read.times_s).all() and set(read.states) == {""}
    np.savetxt(tmp_path / "A.txt", rows[:-1], delimiter=",")
    with pytest.raises(DatasetError, match=r"expected 12 lines x,y,w,h; got shape \(11, 4\)"):
        results.load_result(tmp_path, otb[0])
    with pytest.raises(DatasetError, match="expected results of B"):
        results.load_result(tmp_path, otb[1])


def test_a_run_resumes_and_a_change_runs_again(
    template_tracker: type[Any],
    tmp_path: Path,
    otb: list[AnnotatedSequence],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    builds: list[str] = []

    def build(spec: TrackerSpec) -> Any:
        builds.append(spec.name)
        return template_tracker()

    monkeypatch.setattr(TrackerSpec, "build", build)
    spec = TrackerSpec("mil", opencv="mil")
    out = tmp_path / "out"
    first = one_pass.run_one_pass(spec, otb, out, progress=False)
    assert builds == ["mil"]
    again = one_pass.run_one_pass(spec, otb, out, progress=False)
    assert builds == ["mil"]  # nothing was run
    np.testing.assert_array_equal(again["B"].boxes_xywh, first["B"].boxes_xywh)
    np.testing.assert_array_equal(again["B"].times_s, first["B"].times_s)

    (out / "mil" / "B" / "B_run.json").unlink()  # as if interrupted before the end
    one_pass.run_one_pass(spec, otb, out, progress=False)
    assert builds == ["mil"] * 2
    other = dataclasses.replace(spec, opencv="csrt")
    assert not results.is_done(out, "mil", otb[0], other.fingerprint())
    shorter = one_pass.truncate(otb[0], 5)
    assert not results.is_done(out, "mil", shorter, spec.fingerprint())


def test_ctrl_c_keeps_the_finished_sequences(
    template_tracker: type[Any],
    tmp_path: Path,
    otb: list[AnnotatedSequence],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(template_tracker):
        frames = 0

        def update(self, frame: np.ndarray) -> SimpleNamespace:
            self.frames += 1
            if self.frames > 15:  # in the second sequence
                raise KeyboardInterrupt
            return super().update(frame)

    monkeypatch.setattr(TrackerSpec, "build", lambda spec: Interrupted())
    spec = TrackerSpec("mil", opencv="mil")
    with pytest.raises(KeyboardInterrupt):
        one_pass.run_one_pass(spec, otb, tmp_path, progress=False)
    assert results.is_done(tmp_path, "mil", otb[0], spec.fingerprint())
    assert not results.is_done(tmp_path, "mil", otb[1], spec.fingerprint())


def test_worker_processes_give_the_same_boxes(
    tmp_path: Path, otb: list[AnnotatedSequence]
) -> None:
    spec = TrackerSpec("mil", opencv="mil")
    apart = one_pass.run_one_pass(spec, otb, tmp_path / "apart", workers=2, progress=False)
    assert sorted(p.name for p in (tmp_path / "apart" / "mil").iterdir()) == ["A", "B"]
    assert [len(apart[n].boxes_xywh) for n in "AB"] == [12, 12]
    evaluation = evaluate("mil", apart, otb)
    assert evaluation.mean.ao > 0.3


def test_an_error_in_a_worker_keeps_its_reason(
    tmp_path: Path, otb: list[AnnotatedSequence]
) -> None:
    spec = TrackerSpec("d", weights=str(tmp_path / "missing.safetensors"))
    with pytest.raises(CheckpointError, match="expected a weights file at"):
        one_pass.run_one_pass(spec, otb[:1], tmp_path, workers=2, progress=False)


def test_opencv_trackers_follow_and_say_what_is_missing(otb: list[AnnotatedSequence]) -> None:
    run = one_pass.run_sequence(OpenCVTracker("mil"), otb[0])
    assert evaluate("mil", {"A": run}, otb[:1]).mean.ao > 0.3
    assert np.isnan(run.scores[1:]).all()  # MIL has none
    with pytest.raises(TrackerUnavailable, match=r"expected mil, csrt.* got 'magic'"):
        OpenCVTracker("magic")
    with pytest.raises(TrackerUnavailable, match=r"there is no /no/b.onnx"):
        OpenCVTracker("nano:/no/b.onnx,/no/h.onnx")
    if not hasattr(cv2, "TrackerCSRT_create"):
        with pytest.raises(TrackerUnavailable, match="opencv-contrib-python"):
            OpenCVTracker("csrt")


def test_an_opencv_tracker_that_finds_nothing_keeps_its_box_and_its_score(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Unsure:  # OpenCV's interface; its real trackers with scores need files of weights
        def init(self, frame: np.ndarray, box: tuple[int, ...]) -> None: ...

        def update(self, frame: np.ndarray) -> tuple[bool, tuple[int, ...]]:
            return False, (0, 0, 0, 0)

        def getTrackingScore(self) -> float:
            return 0.15

    monkeypatch.setattr(trackers, "_opencv_factory", lambda kind: Unsure)
    tracker = OpenCVTracker("vit:net.onnx")
    frame = np.zeros((60, 80, 3), np.uint8)
    tracker.init(frame, (10, 10, 20, 20))
    found = tracker.update(frame)
    assert (found.box_xywh, found.state) == ((10, 10, 20, 20), "lost")
    assert found.score == pytest.approx(0.15)


def test_results_of_another_clip_of_the_same_name_are_not_taken(
    tmp_path: Path, template_tracker: type[Any], otb: list[AnnotatedSequence]
) -> None:
    run = one_pass.run_sequence(template_tracker(), otb[0])
    results.save_result(tmp_path, "t", otb[0], run, "abc")
    assert results.is_done(tmp_path, "t", otb[0], "abc")
    namesake = dataclasses.replace(otb[1], name="A")  # as long, but another video
    assert not results.is_done(tmp_path, "t", namesake, "abc")
    elsewhere = dataclasses.replace(otb[0], start_xywh=(1, 1, 20, 20))
    assert not results.is_done(tmp_path, "t", elsewhere, "abc")


def test_a_fingerprint_follows_settings_and_weights(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"one")
    spec = TrackerSpec("d", weights=str(weights), config={"learning_rate": 0.01})
    first = spec.fingerprint()
    assert dataclasses.replace(spec, name="other").fingerprint() == first
    assert dataclasses.replace(spec, config={"learning_rate": 0.02}).fingerprint() != first
    assert dataclasses.replace(spec, untrained_head=True).fingerprint() != first
    weights.write_bytes(b"two")
    assert spec.fingerprint() != first
    assert trackers._digest([weights]) != trackers._digest([tmp_path / "missing"])
