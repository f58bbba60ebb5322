"""Drawing a box: what mouse and keys do, without a window."""

from __future__ import annotations

import numpy as np
import pytest

from dcfst_ros.box_selection import BoxSelection, Phase, Release, SendBox, Shown

FRAME = np.zeros((120, 160, 3), np.uint8)


def selection_with_images(count: int = 1) -> BoxSelection:
    selection = BoxSelection()
    for index in range(count):
        selection.add_image(Shown(FRAME, f"header {index}", index))
    return selection


def draw(selection: BoxSelection, first: tuple[int, int], last: tuple[int, int]) -> None:
    selection.press(*first)
    selection.drag((first[0] + last[0]) // 2, last[1])
    selection.let_go(*last)


def test_a_box_is_sent_with_the_header_of_the_image_it_was_drawn_on() -> None:
    selection = selection_with_images(3)
    draw(selection, (20, 30), (59, 49))
    for index in range(3, 8):  # the camera goes on
        selection.add_image(Shown(FRAME, f"header {index}", index))
    assert selection.phase is Phase.DRAWN and selection.age == 5
    assert selection.shown.header == "header 2"
    sent = selection.key("enter")
    assert sent == SendBox("header 2", (20.0, 30.0, 40.0, 20.0))
    assert selection.phase is Phase.LIVE and selection.box_xywh is None
    assert selection.shown.header == "header 7"


@pytest.mark.parametrize("corners", [((60, 50), (20, 30)), ((20, 50), (60, 30))])
def test_a_box_may_be_dragged_from_any_corner(
    corners: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    selection = selection_with_images()
    draw(selection, *corners)
    assert selection.box_xywh == (20.0, 30.0, 41.0, 21.0)


def test_keys_move_and_resize_by_a_pixel_inside_the_image() -> None:
    selection = selection_with_images()
    draw(selection, (20, 30), (59, 49))
    for name, expected in (
        ("left", (19, 30, 40, 20)),
        ("up", (19, 29, 40, 20)),
        ("right", (20, 29, 40, 20)),
        ("down", (20, 30, 40, 20)),
        ("d", (20, 30, 41, 20)),
        ("a", (20, 30, 40, 20)),
        ("s", (20, 30, 40, 21)),
        ("w", (20, 30, 40, 20)),
    ):
        assert selection.key(name) is None
        assert selection.box_xywh == expected, name
    for _ in range(200):
        selection.key("right")
        selection.key("down")
    assert selection.box_xywh == (120, 100, 40, 20)  # moved to the border, not made smaller
    for _ in range(200):
        selection.key("a")
        selection.key("w")
    assert selection.box_xywh[2:] == (4, 4)


def test_dragging_outside_ends_at_the_border() -> None:
    selection = selection_with_images()
    draw(selection, (100, 100), (900, -50))
    assert selection.box_xywh == (100, 0, 60, 101)


def test_a_click_makes_no_box_and_says_what_to_do() -> None:
    selection = selection_with_images()
    draw(selection, (20, 30), (21, 30))
    assert selection.phase is Phase.FROZEN and selection.box_xywh is None
    assert "drag over the object" in selection.note
    assert selection.key("enter") is None and "draw a box first" in selection.note


def test_space_freezes_and_takes_a_newer_image_under_the_box() -> None:
    selection = selection_with_images(2)
    selection.key("space")
    selection.add_image(Shown(FRAME, "header 2", 2))
    assert selection.phase is Phase.FROZEN and selection.shown.header == "header 1"
    draw(selection, (10, 10), (40, 40))
    selection.key("space")
    assert selection.phase is Phase.DRAWN and selection.box_xywh == (10, 10, 31, 31)
    assert selection.key("enter").header == "header 2"


def test_escape_leaves_the_selection_and_then_releases() -> None:
    selection = selection_with_images()
    draw(selection, (10, 10), (40, 40))
    assert selection.key("escape") is None and selection.phase is Phase.LIVE
    assert selection.key("escape") == Release()


def test_an_image_the_tracker_no_longer_has_is_not_sent() -> None:
    selection = selection_with_images()
    selection.keeps_frames = 3
    draw(selection, (10, 10), (40, 40))
    for index in range(1, 4):
        assert not selection.too_old
        selection.add_image(Shown(FRAME, f"header {index}", index))
    assert selection.too_old
    assert selection.key("enter") is None and "Space takes a new one" in selection.note
    assert selection.box_xywh == (10, 10, 31, 31)  # the work is not lost
    selection.key("space")
    assert selection.key("enter") == SendBox("header 3", (10, 10, 31, 31))


def test_without_an_image_nothing_happens() -> None:
    selection = BoxSelection()
    draw(selection, (10, 10), (40, 40))
    for name in ("enter", "space", "left", "unknown"):
        assert selection.key(name) is None
    assert selection.phase is Phase.LIVE and selection.age == 0
