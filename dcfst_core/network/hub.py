"""Weights as the Hugging Face Hub holds them: a folder, or a name such as `owner/name`.

The layout: `model.safetensors`, `config.json` (what else lies beside weights as `.json`), and the
card, `README.md`. Only the first two are ever fetched; neither can run code.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from dcfst_core.errors import CheckpointError

MODEL_NAME, CONFIG_NAME, CARD_NAME = "model.safetensors", "config.json", "README.md"
_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")
CARD_HEAD = """---
license: apache-2.0
library_name: dcfst_core
tags: [visual-object-tracking, robotics, ros2]
---

```python
from dcfst_core import load_tracker

tracker = load_tracker("OWNER/NAME")  # pip install dcfst_ros[hub]; give a commit as revision=
```

"""


def locate_weights(weights: str | Path, revision: str | None = None) -> Path:
    """The .safetensors file that is meant by a file, a folder or the name of a Hub repository.

    `weights`: `owner/name` or `owner/name@revision` where nothing of that name lies on the disk.
    `revision`: a branch, tag or commit of such a repository; a commit is the only one that can
    never change. Raises CheckpointError where a repository cannot be had.
    """
    path = Path(weights)
    if path.is_dir():
        if not (path / MODEL_NAME).is_file():
            raise CheckpointError(
                f"expected a .safetensors file or a folder with {MODEL_NAME}; {path} is a folder "
                "without"
            )
        path = path / MODEL_NAME
    named = _ID.fullmatch(str(weights))
    if path.exists() or named is None or path.suffix == ".safetensors":
        if revision is not None:
            raise CheckpointError(
                f"expected the name of a Hub repository for revision {revision!r}; got {weights}"
            )
        return path
    if revision is not None and named[2] is not None:
        raise CheckpointError(f"expected one revision; got {named[2]!r} and {revision!r}")
    return _fetch(named[1], revision or named[2])


def metadata_path(weights: Path) -> Path:
    """Where the JSON of a weights file lies."""
    beside = weights.with_suffix(".json")
    if weights.name == MODEL_NAME and not beside.is_file():
        return weights.with_name(CONFIG_NAME)
    return beside


def write_hub_folder(weights: Path, folder: Path) -> list[Path]:
    """Write weights in the Hub's layout into a new or empty folder; returns the files.

    The card is the README.md beside the weights, where there is one. Raises CheckpointError for a
    folder that holds anything.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"expected a new or empty folder; {folder} is there")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights, folder / MODEL_NAME)
    shutil.copyfile(metadata_path(weights), folder / CONFIG_NAME)
    card = weights.with_name(CARD_NAME)
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {weights.stem}\n"
    (folder / CARD_NAME).write_text(CARD_HEAD + text, encoding="utf-8")
    return [folder / name for name in (MODEL_NAME, CONFIG_NAME, CARD_NAME)]


def _fetch(repository: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise CheckpointError(
            f"expected a weights file; there is none at {repository}. If it is a repository of "
            "the Hugging Face Hub: pip install 'dcfst_ros[hub]'"
        ) from error
    try:
        # The error types of huggingface_hub differ from release to release.
        folder = snapshot_download(
            repository, revision=revision, allow_patterns=[MODEL_NAME, CONFIG_NAME]
        )
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"expected a weights file, or a repository of the Hugging Face Hub; there is no file "
            f"{repository}, and the Hub's {repository} at {revision or 'its newest'} cannot be "
            f"had: {reason}"
        ) from error
    for name in (MODEL_NAME, CONFIG_NAME):
        if not (Path(folder) / name).is_file():
            raise CheckpointError(f"expected {name} in the Hub's {repository}; it has none")
    return Path(folder) / MODEL_NAME
