"""Weights in the Hub's layout: written by a command, read from a folder and the Hub's cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dcfst_core.cli.main import main
from dcfst_core.errors import CheckpointError
from dcfst_core.network.checkpoint import load_model
from dcfst_core.network.hub import locate_weights

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def folder(untrained: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hub") / "out"
    assert main(["hub", str(path), "--weights", untrained]) == 0
    return path


def test_the_command_writes_the_layout_and_it_loads(folder: Path, untrained: str) -> None:
    assert {p.name for p in folder.iterdir()} == {"model.safetensors", "config.json", "README.md"}
    assert (folder / "README.md").read_text().startswith("---\nlicense: apache-2.0\n")
    own, other = load_model(folder), load_model(untrained)
    assert own.metadata == other.metadata
    for name, value in other.state_dict().items():
        assert torch.equal(own.state_dict()[name], value)
    assert load_model(folder / "model.safetensors").metadata == own.metadata


def test_a_folder_in_use_is_not_written_into(
    folder: Path, untrained: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hub", str(folder), "--weights", untrained]) == 1
    assert "expected a new or empty folder" in capsys.readouterr().err


def test_a_revision_is_for_the_hub_alone(folder: Path, untrained: str) -> None:
    for local in (folder, untrained, "no/such/file.safetensors"):
        with pytest.raises(CheckpointError, match="name of a Hub repository for revision 'v1'"):
            load_model(local, revision="v1")
    with pytest.raises(CheckpointError, match="expected one revision; got 'a' and 'b'"):
        locate_weights("owner/name@a", "b")


def in_cache(folder: Path, home: Path, *, names: tuple[str, ...]) -> None:
    """What a download leaves in the Hub's cache."""
    cached = home / "hub" / "models--owner--tracker"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(COMMIT)
    snapshot = cached / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in names:
        (snapshot / name).symlink_to(folder / name)


def load(home: Path, code: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: huggingface_hub reads these variables once."""
    env = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from dcfst_core import load_model\n" + code]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=240)


def test_from_the_hubs_cache_with_and_without_a_revision(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    in_cache(folder, tmp_path, names=("model.safetensors", "config.json"))
    done = load(
        tmp_path,
        f"for given in (('owner/tracker', None), ('owner/tracker', '{COMMIT}'),\n"
        f"              ('owner/tracker@{COMMIT}', None)):\n"
        "    print(load_model(given[0], revision=given[1]).metadata['note'])\n"
        "from dcfst_core.errors import CheckpointError\n"
        "for wrong in ('owner/other', 'owner/tracker@v9'):\n"
        "    try: load_model(wrong)\n"
        "    except CheckpointError as error: print(str(error))\n",
    )
    lines = done.stdout.splitlines()
    assert lines[:3] == ["untrained, for tests"] * 3, done.stderr
    assert "the Hub's owner/other at its newest cannot be had: " in lines[3]
    assert "the Hub's owner/tracker at v9 cannot be had: " in lines[4]


def test_a_repository_without_weights(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    in_cache(folder, tmp_path, names=("config.json",))
    done = load(tmp_path, "load_model('owner/tracker')")
    assert "expected model.safetensors in the Hub's owner/tracker" in done.stderr


def test_without_the_extra_the_error_says_how_to_get_it() -> None:
    code = "import sys; sys.modules['huggingface_hub'] = None\n"
    code += "from dcfst_core.network.hub import locate_weights\nlocate_weights('owner/tracker')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert "pip install 'dcfst_ros[hub]'" in done.stderr
