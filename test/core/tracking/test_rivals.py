"""What is remembered of look-alikes."""

from __future__ import annotations

import numpy as np
import pytest

from dcfst_core.tracking.rivals import Rival, Rivals

SIZE = 20.0
TARGET = (100.0, 100.0)
BESIDE = (140.0, 100.0)


def seen_beside(place: tuple[float, float]) -> Rivals:
    return Rivals().after([place], TARGET, seen=True, size=SIZE)


def test_what_answers_beside_the_target_is_a_rival() -> None:
    rivals = seen_beside(BESIDE)
    assert rivals.nearness(*BESIDE, SIZE) == 1.0
    assert rivals.nearness(*TARGET, SIZE) < 0.01
    # One deviation is 0.4 sizes.
    assert rivals.nearness(148.0, 100.0, SIZE) == pytest.approx(np.exp(-0.5))
    assert Rivals().nearness(*TARGET, SIZE) == 0.0


def test_the_target_itself_is_none() -> None:
    """Another region may show the target once more."""
    assert seen_beside((105.0, 103.0)) == Rivals()
    # The target is where a rival was: they crossed, and what is there now is the target.
    crossed = seen_beside(BESIDE).after([], BESIDE, seen=True, size=SIZE)
    assert crossed == Rivals()


def test_while_the_target_is_away_none_is_taken_up_but_those_known_are_followed() -> None:
    rivals = seen_beside(BESIDE)
    back = (60.0, 60.0)
    # The best find is the rival, a step on; something else appears: it may be the target.
    for step in range(1, 20):
        moved = (140.0 + 10 * step, 100.0)
        rivals = rivals.after([back], moved, seen=False, size=SIZE)
    assert rivals.nearness(*moved, SIZE) == 1.0
    assert rivals.nearness(*back, SIZE) < 0.01
    assert rivals.nearness(*BESIDE, SIZE) < 0.01


def test_a_rival_that_is_no_more_is_forgotten() -> None:
    rivals = seen_beside(BESIDE)
    kept = 0
    while rivals.places:
        rivals = rivals.after([], TARGET, seen=True, size=SIZE)
        kept += 1
    assert 10 < kept < 30


def test_no_more_than_some_are_remembered_the_newest_first() -> None:
    rivals = Rivals()
    for step in range(20):
        rivals = rivals.after([(200.0 + 50 * step, 0.0)], TARGET, seen=True, size=SIZE)
    assert len(rivals.places) == 8
    assert rivals.nearness(200.0 + 50 * 19, 0.0, SIZE) == 1.0
    assert rivals.nearness(200.0, 0.0, SIZE) < 0.01
    assert len(set(rivals.places)) == len(rivals.places)


def test_what_stands_where_the_target_cannot_be_is_one_also_while_it_is_away() -> None:
    away = (300.0, 100.0)
    rivals = Rivals().after([], None, seen=False, size=SIZE, far=[away])
    assert rivals.nearness(*away, SIZE) == 1.0
    # It comes nearer: a known one is followed, and stays one rival.
    closer = (288.0, 100.0)
    rivals = rivals.after([closer], None, seen=False, size=SIZE, far=[closer])
    assert rivals.places == (Rival(*closer, far=True),)
    assert rivals.without_far() == Rivals()
    # Once the target was seen with it beside, it is like the others.
    beside = rivals.after([closer], TARGET, seen=True, size=SIZE)
    assert beside.without_far() == beside
