"""Boxes, settings, parameters, command lines of any kind: a result, or an error that explains."""

from __future__ import annotations

import argparse
import contextlib
import io
import math
from dataclasses import fields
from typing import Any

import pytest
from fuzzing import Fuzz
from hypothesis import strategies as st

from dcfst_core.boxes import check_box, clip_box, parse_box
from dcfst_core.cli.arguments import with_negative_boxes
from dcfst_core.cli.main import build_parser
from dcfst_core.cli.options import assignments, initial_boxes
from dcfst_core.media.name_times import plain_times
from dcfst_core.media.naming import in_time_order, natural_key, seconds_of
from dcfst_core.tracking.config import TrackerConfig

NUMBERS = st.one_of(
    st.floats(),
    st.integers(-(10**6), 10**6).map(float),
    st.sampled_from([0.0, -0.0, 1e-320, 2.0, 1e308, -1e308]),
)
SIZES = st.integers(1, 8192)
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), NUMBERS, st.text(max_size=8), st.lists(st.integers())
)
NAMES = [spec.name for spec in fields(TrackerConfig)]
FIELD = st.one_of(st.sampled_from(NAMES), st.sampled_from(NAMES), st.text(max_size=6))


@pytest.mark.fuzz(8)
def test_boxes(fuzz: Fuzz) -> None:
    def check(case: tuple[list[Any], int, int]) -> None:
        values, width, height = case
        box = check_box(values, width, height)
        assert all(math.isfinite(value) for value in box) and min(box[2:]) >= 2
        clipped = clip_box(box, width, height, 4.0)
        assert all(math.isfinite(value) for value in clipped) and clipped[2:] == box[2:]

    values = st.one_of(st.lists(NUMBERS, min_size=4, max_size=4), st.lists(ANYTHING, max_size=5))
    fuzz.draw(st.tuples(values, SIZES, SIZES), check)


@pytest.mark.fuzz(6)
def test_boxes_as_text(fuzz: Fuzz) -> None:
    def check(text: str) -> None:
        check_box(parse_box(text), 640, 480)

    number = st.one_of(NUMBERS.map(str), st.text("0123456789.-+eE ,;_naif٣", max_size=6))
    fuzz.draw(st.lists(number, max_size=6).map(",".join), check)


@pytest.mark.fuzz(8)
def test_tracker_settings(fuzz: Fuzz) -> None:
    def check(values: dict[str, Any]) -> None:
        try:
            config = TrackerConfig.from_dict(values)
        except ValueError as error:
            assert str(error)
            return
        for spec in fields(config):
            value = getattr(config, spec.name)
            assert type(value) is type(spec.default)
            assert not isinstance(value, float) or math.isfinite(value)
        assert TrackerConfig.from_dict(config.to_dict()) == config

    fuzz.draw(st.dictionaries(FIELD, ANYTHING, max_size=4), check)


@pytest.mark.fuzz(4)
def test_assignments_of_settings(fuzz: Fuzz) -> None:
    def check(texts: list[str]) -> None:
        with contextlib.suppress(ValueError):
            TrackerConfig.from_dict(assignments(texts))

    value = st.one_of(st.text('{}[]",:0123456789eE.-truefalsn', max_size=20), st.text(max_size=5))
    deep = st.integers(1, 20000).map(lambda depth: "[" * depth)
    pair = st.tuples(FIELD, st.sampled_from(["=", "", " = "]), st.one_of(value, deep))
    fuzz.draw(st.lists(pair.map("".join), max_size=4), check)


@pytest.mark.fuzz(8)
def test_parameter_changes(fuzz: Fuzz) -> None:
    pytest.importorskip("rclpy")
    from rclpy.parameter import Parameter

    from dcfst_ros.parameter_server import judge_change
    from dcfst_ros.parameters import node_parameters, preset, tracker_parameters

    tracker = tracker_parameters(preset("default"))
    declared = {p.name: p for p in (*node_parameters(), *tracker)}
    current = {name: parameter.default for name, parameter in declared.items()}
    plain = st.one_of(
        st.booleans(), st.integers(-(2**62), 2**62), st.floats(), st.text(max_size=8)
    )

    def check(case: tuple[dict[str, Any], bool]) -> None:
        values, configured = case
        changes = [Parameter(name, value=value) for name, value in values.items()]
        result = judge_change(declared, current, changes, configured)
        assert result.successful or result.reason

    names = st.one_of(st.sampled_from(sorted(declared)), st.text(min_size=1, max_size=5))
    fuzz.draw(st.tuples(st.dictionaries(names, plain, max_size=4), st.booleans()), check)


@pytest.mark.fuzz(8)
def test_command_lines(fuzz: Fuzz) -> None:
    parser = build_parser()
    options = sorted(_options_of(parser))

    def check(tokens: list[str]) -> None:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            try:
                parsed = parser.parse_args(with_negative_boxes(tokens))
            except SystemExit as end:
                assert end.code == 2 and "error:" in said.getvalue()
                return
        if getattr(parsed, "init", None) and hasattr(parsed, "id"):
            initial_boxes(parsed)

    values = st.sampled_from(["1,2,3,4", "-1,-2,3,4", "-5", "0", "x.mp4", "--", "-", "=", "a=b"])
    token = st.one_of(st.sampled_from(options), values, values, st.text(max_size=4))
    command = st.sampled_from(["track", "bag", "eval", "tune", "bench", "info", "vot", "nothing"])
    # These print a page and end well.
    shown = {"--help", "-h"}
    rest = st.lists(token.filter(lambda text: not _asks_for_help(text, shown)), max_size=8)
    fuzz.draw(st.tuples(command, rest).map(lambda case: [case[0], *case[1]]), check)


def _options_of(parser: argparse.ArgumentParser) -> set[str]:
    found: set[str] = set()
    for action in parser._actions:
        found |= set(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                found |= _options_of(below)
    return found


def _asks_for_help(text: str, shown: set[str]) -> bool:
    return text.startswith("-h") or any(name.startswith(text) for name in shown if len(text) > 2)


@pytest.mark.fuzz(6)
def test_names_of_images(fuzz: Fuzz) -> None:
    def check(stems: list[str]) -> None:
        order = in_time_order(stems)
        assert len({index for index, _ in order}) == len(order) <= len(stems)
        seconds = seconds_of([key for _, key in order])
        assert seconds is None or all(math.isfinite(value) for value in seconds)
        sorted(stems, key=natural_key)
        plain_times(stems)

    part = st.one_of(
        st.integers(0, 10**20).map(str),
        st.sampled_from(["frame", "_", "-", ".", "2024-02-30", "12h61", "x", "٣", "²", "T", "Z"]),
        st.text(max_size=3),
    )
    stem = st.lists(part, min_size=1, max_size=5).map("".join)
    fuzz.draw(st.lists(stem, min_size=1, max_size=6), check)
