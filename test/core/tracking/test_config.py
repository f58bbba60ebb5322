"""Settings: what is refused and how it is said, NumPy's numbers, presets, and the round trip."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from dcfst_core.tracking.config import TrackerConfig

PRESETS = {
    name: getattr(TrackerConfig, name)()
    for name in ("paper", "released", "default", "fast", "nano")
}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 1.5}, r"learning_rate: expected 0.0 to 1.0, got 1.5"),
        ({"learning_rate": float("nan")}, r"learning_rate: expected 0.0 to 1.0, got nan"),
        ({"learning_rate": "fast"}, "learning_rate: expected float, got 'fast'"),
        ({"memory": "average"}, "memory: expected gram with update_grid_stride above 1"),
        ({"memory": "average", "update_grid_stride": 1}, "got 1 and 0.4"),
        ({"grid_size": 31.0}, "grid_size: expected int, got 31.0"),
        ({"grid_size": True}, "grid_size: expected int, got True"),
        ({"grid_size": 41}, "expected a grid within patch_size = 288; got 41 RoIs that span 320"),
        ({"patch_size": 208}, "expected a grid within patch_size = 208"),
        ({"grid_spacing": 16.0}, "grid_size, grid_spacing: expected a grid within patch_size"),
        ({"box_refinement": 1}, "box_refinement: expected bool, got 1"),
        ({"memory": "all"}, r"memory: expected one of .*'gram'.*, got 'all'"),
        ({"precision": None}, "precision: expected str, got None"),
        ({"patch_size": 290}, "patch_size: expected a multiple of 16, got 290"),
        ({"num_averaged": 11}, "num_averaged: expected at most num_proposals = 7, got 11"),
        ({"first_frame_share": 0.7, "recent_share": 0.5}, "expected a sum of at most 1, got 0.7"),
        ({"lost_threshold": 0.6}, "lost_threshold <= tracking_threshold .*, got 0.6, 0.5, 0.65"),
        (
            {"tracking_threshold": 0.9},
            "tracking_threshold <= learning_threshold, got 0.1, 0.9, 0.65",
        ),
        ({"learning_threshold": 0.3}, "got 0.1, 0.5, 0.3"),
        (
            {"lambda": 0.1},
            r"unknown tracker settings \['lambda'\]; known ones: \[.*regularization",
        ),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrackerConfig.from_dict(values)


@pytest.mark.parametrize("number", [np.int64(21), np.int32(21), np.uint8(21)])
def test_numpys_integers_are_accepted(number: Any) -> None:
    config = TrackerConfig(grid_size=number)
    assert config == TrackerConfig(grid_size=21)
    assert type(config.grid_size) is int


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), np.float16(0.5)])
def test_numpys_floats_are_accepted(number: Any) -> None:
    config = TrackerConfig(window_strength=number)
    assert config == TrackerConfig(window_strength=0.5)
    assert type(config.window_strength) is float


def test_numpys_truth_values_are_accepted_and_its_numbers_still_checked() -> None:
    config = TrackerConfig(box_refinement=np.bool_(False))  # type: ignore[arg-type]
    assert config.box_refinement is False
    with pytest.raises(ValueError, match=r"grid_size: expected int, got 21.0"):
        TrackerConfig(grid_size=np.float64(21))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"learning_rate: expected 0.0 to 1.0, got 2"):
        TrackerConfig(learning_rate=np.int64(2))


@pytest.mark.parametrize("value", [5, np.int64(5), np.float32(5)])
def test_a_whole_number_is_kept_as_the_fields_own_type(value: Any) -> None:
    config = TrackerConfig(search_area_scale=value)
    assert type(config.search_area_scale) is float


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS.keys())
def test_round_trip(config: TrackerConfig) -> None:
    values = config.to_dict()
    assert TrackerConfig.from_dict(values) == config
    assert {type(value) for value in values.values()} <= {bool, int, float, str}


def test_every_setting_says_what_it_is_and_what_is_permitted() -> None:
    for spec in fields(TrackerConfig):
        known = spec.metadata
        assert known["help"] and isinstance(known["live"], bool), spec.name
        if type(spec.default) is str:
            # A file's name is any text, and none by default.
            assert spec.default in (known["choices"] or ("",)), spec.name
        elif type(spec.default) is not bool:
            assert known["low"] <= spec.default <= known["high"], spec.name


def test_the_papers_settings_are_the_papers() -> None:
    paper = PRESETS["paper"]
    assert (paper.search_area_scale, paper.patch_size) == (5.0, 288)
    assert (paper.grid_size, paper.output_sigma_factor, paper.regularization) == (31, 0.25, 0.1)
    assert (paper.memory, paper.learning_rate, paper.update_interval) == ("average", 0.01, 1)
    assert (paper.first_frame_share, paper.recent_share, paper.window_strength) == (0, 0, 0)
    assert not (paper.subgrid_peak or paper.judgement or paper.shape_filter)
    assert not (paper.looks or paper.colours)


def test_a_setting_changed_on_its_own_is_checked_with_the_others() -> None:
    with pytest.raises(ValueError, match="num_averaged"):
        replace(TrackerConfig(), num_proposals=2)
