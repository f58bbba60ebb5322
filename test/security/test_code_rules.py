"""No pickle, no unsafe YAML, no shell, nothing evaluated: in the code and in what is shipped."""

from __future__ import annotations

import ast
import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("dcfst_core", "dcfst_ros", "training", "scripts", "launch", "examples", "test")
PICKLES = {".pkl", ".pickle", ".pth", ".pt", ".ckpt", ".bin", ".npy", ".npz", ".joblib"}


def python_files() -> list[Path]:
    files = [path for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 200
    return files


def shipped_files() -> list[Path]:
    """What git tracks, or all that lies in the shipped folders where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        return [path for name in listed.stdout.split("\0") if (path := ROOT / name).is_file()]
    return [path for folder in CODE for path in (ROOT / folder).rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("import pickle", "TID251"),
        ("from pickle import loads", "TID251"),
        ("import joblib", "TID251"),
        ("import shelve", "TID251"),
        ("import yaml; yaml.load('a', Loader=yaml.Loader)", "S506"),
        ("import subprocess; subprocess.run('ls', shell=True)", "S602"),
        ("import os; os.system('ls')", "S605"),
        ("eval('1')", "S307"),
        ("exec('1')", "S102"),
        ("import tarfile; tarfile.open('a').extractall('b')", "S202"),
        ("import requests; requests.get('https://a', verify=False)", "S501"),
    ],
)
def test_the_linter_refuses(line: str, rule: str) -> None:
    """`make lint` runs these rules over everything; here they are shown to be on."""
    pytest.importorskip("ruff")
    command = [sys.executable, "-m", "ruff", "check", "--stdin-filename", "dcfst_core/new.py", "-"]
    done = subprocess.run(command, input=line + "\n", cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and rule in done.stdout


def test_no_line_is_exempt_from_these_rules_but_one() -> None:
    exempt = re.compile(r"#\s*(?:ruff:\s*)?noqa(?!: *[A-Z])|noqa:.*\b(?:S\d|TID251)")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in python_files()
        if path != Path(__file__)
        for line in path.read_text().splitlines()
        if exempt.search(line)
    ]
    # The class of the error with which torch.load refuses.
    assert len(found) == 1 and "import UnpicklingError" in found[0], found


def test_every_torch_load_takes_weights_only_and_every_np_load_no_objects() -> None:
    loads, wrong = 0, []
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner, given = ast.unparse(node.func.value), {k.arg: k.value for k in node.keywords}
            if (owner, node.func.attr) == ("torch", "load"):
                loads += 1
                only = given.get("weights_only")
                if not isinstance(only, ast.Constant) or only.value is not True:
                    wrong.append(f"{path}:{node.lineno}")
            if "allow_pickle" in given:
                wrong.append(f"{path}:{node.lineno}")
    assert loads > 3 and not wrong, wrong


def test_what_robots_install_never_loads_a_pickle() -> None:
    """`backbone` reads a trunk's state dict, for training alone."""
    users = {
        path.relative_to(ROOT).as_posix()
        for folder in ("dcfst_core", "dcfst_ros")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("torch.load", "torch.jit.load")
    }
    assert users == {"dcfst_core/network/backbone.py"}


def test_no_shipped_file_is_or_holds_a_pickle() -> None:
    files = shipped_files()
    assert len(files) > 100
    wrong = [str(path) for path in files if path.suffix.lower() in PICKLES]
    for path in files:
        with path.open("rb") as file:
            start = file.read(4)
        # A pickle's protocol byte; a zip, in which PyTorch keeps one.
        if (start[:1] == b"\x80" and start[1:2] in b"\2\3\4\5") or start == b"PK\3\4":
            wrong.append(str(path))
    assert not wrong


def test_the_weights_hold_tensors_and_nothing_behind_them() -> None:
    path = ROOT / "dcfst_core" / "weights" / "dcfst_resnet18.safetensors"
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    assert 8 + length + max(ends) == path.stat().st_size


def test_shell_scripts_evaluate_nothing() -> None:
    scripts = [p for p in shipped_files() if p.suffix == ".sh" or p.name == "run"]
    assert scripts
    for path in scripts:
        text = path.read_text()
        assert not re.search(r"^\s*eval\b|(curl|wget)[^\n]*\|\s*(ba)?sh", text, re.MULTILINE), path
        assert re.search(r"^set -\w*u", text, re.MULTILINE), path
