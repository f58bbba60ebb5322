"""Where a still patch stands and which frames are shown, on paths that are known."""

from __future__ import annotations

import numpy as np
import pytest

from dcfst_core.evaluation.occluders import visible_fraction
from dcfst_core.evaluation.passing import Passing, passing_order


def path(xs: list[float]) -> np.ndarray:
    return np.array([(x, 50.0, 20.0, 20.0) for x in xs])


def seen(truth: np.ndarray, found: Passing) -> np.ndarray:
    return visible_fraction(truth[found.order], np.tile(found.patch_xywh, (len(found.order), 1)))


@pytest.mark.parametrize("hidden", [1, 2, 7, 30, 301])
@pytest.mark.parametrize("step", [0.5, 3.0, 9.0])
def test_it_is_hidden_for_as_long_as_asked(hidden: int, step: float) -> None:
    truth = path([step * i for i in range(100)])
    found = passing_order(truth, 1.3, before=30, hidden=hidden, after=40)
    assert found is not None
    visible = seen(truth, found)
    start, stop = found.absent
    assert stop - start == hidden
    assert np.flatnonzero(visible == 0).tolist() == list(range(start, stop))
    assert (visible[:30] == 1).all() and (visible[-40:] == 1).all()
    assert np.abs(np.diff(found.order)).max() <= 1


def test_what_never_comes_out_returns_the_way_it_came() -> None:
    truth = path([3.0 * min(i, 12) for i in range(40)])  # it stops behind the patch, and stays
    found = passing_order(truth, 1.3, before=10, hidden=25, after=12)
    assert found is not None
    visible = seen(truth, found)
    assert (visible[-12:] == 1).all() and found.order[-12:].max() < 10
    coming, leaving = visible[: found.absent[0]], visible[found.absent[1] :]
    assert leaving[: (leaving < 1).sum()].tolist() == coming[coming < 1][::-1].tolist()


def test_out_on_the_other_side_where_there_is_one() -> None:
    truth = path([4.0 * i for i in range(60)])
    found = passing_order(truth, 1.3, before=20, hidden=30, after=10)
    assert found is not None
    assert found.order[-1] > found.order[found.absent[1] - 1] > found.order[0]


def test_without_motion_or_without_boxes_there_is_no_place() -> None:
    assert passing_order(path([5.0] * 50), 1.3, 30, 30, 40) is None
    assert passing_order(path([0.2 * i for i in range(50)]), 1.3, 30, 30, 40) is None
    truth = path([4.0 * i for i in range(60)])
    truth[10:50] = np.nan  # never seen on its way
    assert passing_order(truth, 1.3, 30, 30, 40) is None
    truth[40:50] = path([4.0 * i for i in range(60)])[40:50]
    found = passing_order(truth, 1.3, 30, 30, 40)
    assert found is not None and np.isfinite(truth[found.order]).all()
