"""Clips played to and fro, and several starts of one clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dcfst_core.evaluation import playing
from dcfst_core.evaluation.results import SequenceResult
from dcfst_core.evaluation.sequences import AnnotatedSequence
from dcfst_core.evaluation.starts import with_starts
from dcfst_core.evaluation.summary import evaluate

TRUTH = np.column_stack((np.arange(5) * 10.0, np.zeros(5), np.full(5, 20.0), np.full(5, 20.0)))
SEQUENCE = AnnotatedSequence("s", tuple(Path(f"{i}.png") for i in range(5)), TRUTH, group="g")


def test_to_and_fro_turns_at_both_ends() -> None:
    assert playing.to_and_fro(4, 9).tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert playing.to_and_fro(1, 3).tolist() == [0, 0, 0]
    played = playing.play(SEQUENCE, 11)
    assert played.name == "s.to-and-fro" and len(played.frames) == 11
    assert [p.stem for p in played.frames[3:7]] == ["3", "4", "3", "2"]
    np.testing.assert_array_equal(played.truth_xywh[:, 0] / 10, playing.to_and_fro(5, 11))


@pytest.mark.parametrize(
    ("length", "frames", "end"), [(4, 30, 3), (4, 30, 0), (4, 31, 3), (1, 9, 0), (7, 7, 6)]
)
def test_wandering_stops_where_it_should(length: int, frames: int, end: int) -> None:
    order = playing.wander(length, frames, end)
    assert len(order) == frames and order[0] == 0 and order[-1] == end
    assert 0 <= order.min() and order.max() <= length - 1
    assert np.abs(np.diff(order)).max(initial=0) <= 1
    with pytest.raises(ValueError, match="expected an end below"):
        playing.wander(length, frames, length)


def test_the_first_and_the_last_whole_pass_are_compared() -> None:
    first, last = playing.first_and_last_pass(5, 20)
    order = playing.to_and_fro(5, 20)
    assert order[first].tolist() == [1, 2, 3, 4]
    assert order[last].tolist() == [3, 2, 1, 0]  # frames 13 to 16; the fifth pass is not whole
    with pytest.raises(ValueError, match="8 frames of a clip of 5 hold 1"):
        playing.first_and_last_pass(5, 8)

    played = playing.play(SEQUENCE, 20)
    boxes = played.truth_xywh.copy()
    boxes[last, 0] += 1000  # all forgotten
    result = SequenceResult(boxes, np.ones(20), np.ones(20), ("",) * 20)
    found = playing.forgetting({played.name: result}, [played], [5])
    assert found == {"s.to-and-fro": (pytest.approx(20 / 21), 0.0)}
    row = playing.forgetting_table(found).splitlines()[-1].replace(" ", "")
    assert row == "|mean|0.952|0.000|-0.952|"


def test_starts_are_jittered_by_two_percent_and_always_alike() -> None:
    starts = with_starts([SEQUENCE], 200)
    assert [s.name for s in starts[:2]] == ["s", "s.start1"]
    assert starts[0].init_box_xywh == (0, 0, 20, 20)
    boxes = np.array([s.init_box_xywh for s in starts[1:]])
    shifts = (boxes[:, :2] + boxes[:, 2:] / 2 - 10) / 20
    assert np.abs(shifts.mean(axis=0)).max() < 0.005
    assert shifts.std(axis=0) == pytest.approx([0.02, 0.02], rel=0.2)
    assert np.log(boxes[:, 2:] / 20).std(axis=0) == pytest.approx([0.02, 0.02], rel=0.2)
    again = with_starts([SEQUENCE], 3)
    assert [s.init_box_xywh for s in again] == [s.init_box_xywh for s in starts[:3]]
    assert len({s.fingerprint() for s in starts}) == 200
    np.testing.assert_array_equal(starts[7].truth_xywh, TRUTH)  # judged by the same boxes


def test_scores_are_means_over_the_starts_of_a_clip(
    tmp_path: Path, make_sequence: Callable[..., AnnotatedSequence]
) -> None:
    other = make_sequence(tmp_path / "o", "o", frames=5)
    starts = with_starts([SEQUENCE, other], 2)
    shifted = {"s": 0.0, "s.start1": 1000.0, "o": 0.0, "o.start1": 0.0}
    results = {
        s.name: SequenceResult(
            s.truth_xywh + np.array([shifted[s.name], 0, 0, 0]), np.ones(5), np.ones(5), ()
        )
        for s in starts
    }
    evaluation = evaluate("t", results, starts)
    assert {k: v.auc for k, v in evaluation.scores.items()} == {
        "s": pytest.approx(10 / 21),
        "o": pytest.approx(20 / 21),
    }
    assert evaluation.mean.auc == pytest.approx(15 / 21)
    assert evaluation.groups["g"].auc == pytest.approx(10 / 21)
