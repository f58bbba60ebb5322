"""docs/architecture.md names what is there, and files and functions keep to the house's sizes."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "architecture.md").read_text()
SOURCES = [
    path
    for package in ("dcfst_core", "dcfst_ros", "training/dcfst_training")
    for path in sorted((ROOT / package).rglob("*.py"))
]


def test_every_folder_and_file_it_names_exists() -> None:
    names = re.findall(r"`((?:dcfst_core|dcfst_ros|training)[\w/.]*)`", TEXT)
    assert len(names) > 12
    for name in names:
        assert (ROOT / name).exists(), name


def test_every_room_of_the_core_is_named() -> None:
    rooms = {p.parent.name for p in (ROOT / "dcfst_core").glob("*/__init__.py")}
    assert rooms == set(re.findall(r"\| `dcfst_core/(\w+)` \|", TEXT))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("search", "make_plan"),
        ("localisation", "Localiser.search_regions"),
        ("judgement", "choose"),
        ("localisation", "Localiser.examine_finds"),
        ("finds", "weigh"),
        ("judgement", "judge"),
        ("tracker", "Tracker._move"),
        ("learning", "Learner.learn"),
    ],
)
def test_the_steps_of_a_frame_are_functions_of_these_names(module: str, name: str) -> None:
    assert name in TEXT
    thing = import_module(f"dcfst_core.tracking.{module}")
    for part in name.split("."):
        thing = getattr(thing, part)
    assert callable(thing)


def test_files_and_functions_are_short() -> None:
    long = []
    for path in SOURCES:
        text = path.read_text()
        if text.count("\n") > 300:
            long.append(f"{path}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > 60:
                    long.append(f"{path}:{node.lineno} {node.name}: {lines} lines")
    assert not long, "\n".join(long)
