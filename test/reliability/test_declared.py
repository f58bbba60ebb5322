"""The quality declaration and the reliability page name what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["QUALITY_DECLARATION.md", "docs/reliability.md"])
def test_every_file_that_is_named_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    named = set(re.findall(r"`((?:test|training|docs|scripts|dcfst_\w+)/[\w/.]+\.\w+)`", text))
    named |= {str((ROOT / page).parent / link) for link in re.findall(r"\]\(([^)#:]+)\)", text)}
    missing = sorted(path for path in named if not (ROOT / path).exists())
    assert named and not missing


def test_every_make_target_that_is_named_exists() -> None:
    text = (ROOT / "docs/reliability.md").read_text() + (
        ROOT / "QUALITY_DECLARATION.md"
    ).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {name for name in re.findall(r"`make ([a-z-]+)", text)} <= targets


def test_every_feature_has_a_system_test() -> None:
    text = (ROOT / "QUALITY_DECLARATION.md").read_text()
    table = text[text.index("| feature |") : text.index("- **Coverage.**")]
    rows = [line.split("|")[2] for line in table.splitlines()[2:] if line.startswith("|")]
    assert len(rows) > 15 and all(re.search(r"`\S+/test_\w+\.py`", row) for row in rows)


def test_the_shares_of_the_fuzz_tests_add_up() -> None:
    folder = ROOT / "test/reliability/fuzz"
    shares = [
        int(share)
        for path in folder.glob("test_*.py")
        for share in re.findall(r"mark\.fuzz\((\d+)\)", path.read_text())
    ]
    (total,) = re.findall(r"^TOTAL_SHARES = (\d+)$", (folder / "conftest.py").read_text(), re.M)
    assert sum(shares) == int(total)
