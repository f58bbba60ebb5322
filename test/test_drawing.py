"""What is drawn lies where the box is, and never fails on boxes anywhere."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dcfst_core.errors import FrameError
from dcfst_core.media import drawing


def track(box: tuple[float, ...], state: str = "tracking", target_id: str = "target"):
    return SimpleNamespace(target_id=target_id, box_xywh=box, score=0.87, state=state)


def test_the_line_lies_on_the_box_and_the_frame_is_kept() -> None:
    frame = np.full((240, 320, 3), 90, np.uint8)
    drawn = drawing.draw_tracks(frame, [track((100.0, 80.0, 60.0, 40.0))])
    assert (frame == 90).all()
    for x, y in [(130, 80), (130, 120), (100, 100), (160, 100)]:
        assert drawn[y, x].tolist() == list(drawing.STATE_COLOURS["tracking"])
    assert (drawn[95:105, 120:140] == 90).all()
    changed = np.argwhere((drawn != 90).any(axis=2))
    assert changed[:, 0].max() <= 122 and changed[:, 1].min() >= 98


def test_states_differ_and_a_lost_box_is_dashed() -> None:
    frame = np.zeros((240, 320, 3), np.uint8)
    for state in ("tracking", "uncertain", "lost"):
        drawn = drawing.draw_tracks(frame, [track((60.0, 90.0, 200.0, 100.0), state)])
        edge = (drawn[190, 60:260] == drawing.STATE_COLOURS[state]).all(axis=1)
        assert edge.any()
        assert edge.all() == (state != "lost")


@pytest.mark.parametrize(
    "box",
    [(-50.0, -50.0, 30.0, 30.0), (310.0, 230.0, 50.0, 50.0), (-1e9, 0.0, 2e9, 10.0), (5, 5, 0, 0)],
)
@pytest.mark.parametrize("state", ["tracking", "lost"])
def test_boxes_anywhere_are_drawn_as_far_as_visible(box: tuple[float, ...], state: str) -> None:
    frame = np.zeros((240, 320, 3), np.uint8)
    drawn = drawing.draw_tracks(frame, [track(box, state)], note="frame 7")
    assert drawn.shape == frame.shape
    assert drawn[-8:, :20].any()  # the note


def test_a_box_that_is_not_finite_is_left_out() -> None:
    frame = np.zeros((60, 80, 3), np.uint8)
    assert not drawing.draw_tracks(frame, [track((np.nan, 1, 2, 3))]).any()


def test_several_targets_are_named() -> None:
    frame = np.zeros((240, 320, 3), np.uint8)
    a, b = track((20, 60, 40, 40), target_id="a"), track((200, 60, 40, 40), target_id="bb")
    drawn = drawing.draw_tracks(frame, [a, b])
    alone = drawing.draw_tracks(frame, [a])
    assert (drawn[:, 160:] > 0).any() and not (alone[:, 160:] > 0).any()
    label, label_alone = drawn[40:59, 20:150], alone[40:59, 20:150]
    assert (label != label_alone).any()  # the name is written only when there are several


def test_wrong_frames_are_refused() -> None:
    with pytest.raises(FrameError, match=r"uint8 RGB .* got float32 \(5, 5, 3\)"):
        drawing.draw_tracks(np.zeros((5, 5, 3), np.float32), [track((1, 1, 2, 2))])  # type: ignore[arg-type]


def test_a_contact_sheet_holds_every_frame_in_reading_order() -> None:
    frames = [np.full((90, 160, 3), 20 * i, np.uint8) for i in range(12)]
    page = drawing.contact_sheet(frames, columns=4, cell_width=160, gap=6)
    assert page.shape == (3 * 96 + 6, 4 * 166 + 6, 3)
    for index in range(12):
        row, column = divmod(index, 4)
        centre = page[6 + row * 96 + 45, 6 + column * 166 + 80]
        assert centre.tolist() == [20 * index] * 3
    tall = drawing.contact_sheet([frames[1], np.full((400, 50, 3), 7, np.uint8)], ["a", "b"])
    assert tall.shape[1] == 2 * 326 + 6
    with pytest.raises(ValueError, match="at least one frame"):
        drawing.contact_sheet([])
    with pytest.raises(ValueError, match="expected 12 captions"):
        drawing.contact_sheet(frames, ["one"])


def test_spread_indices_cover_both_ends() -> None:
    assert drawing.spread_indices(250, 12)[0] == 0
    assert drawing.spread_indices(250, 12)[-1] == 249
    assert len(drawing.spread_indices(250, 12)) == 12
    assert drawing.spread_indices(3, 12) == [0, 1, 2]
    assert drawing.spread_indices(0, 12) == []
