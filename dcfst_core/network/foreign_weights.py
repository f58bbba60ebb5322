"""What a weights file is that is no safetensors file, and what can be done with it.

Such a file is only looked at: its pickle is read as a list of instructions, of which none is
carried out. PyTorch's weights-only reader carries some out, and before 2.6 could be made to run
anything (CVE-2025-32434).
"""

from __future__ import annotations

import io
import pickletools
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from dcfst_core.network.model import tensor_shapes

# Keys under which training programs keep the network's tensors.
_NESTED = {"state_dict", "net", "model", "network", "model_state_dict"}
_PREFIXES = ("net.", "module.", "model.", "network.")
_UNREADABLE = "a PyTorch checkpoint by its name alone"
_SUFFIXES = (".pth", ".pt", ".tar", ".ckpt", ".bin", ".pkl", ".pth.tar")
# Where what belongs to tensors is defined; all else is an object of some program.
_OF_TENSORS = {
    *("collections", "torch", "torch._utils", "torch._tensor", "torch.serialization"),
    *("torch.storage", "torch.nn.parameter"),
}
_TENSOR = {"torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"}
_HIGHEST_PROTOCOL = 5
_MOST_BYTES = 2**26


@dataclass
class _Named:
    """What a pickle names. strings: all of them; tensors: keys that a tensor follows."""

    strings: set[str] = field(default_factory=set)
    tensors: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)


def describe_foreign(path: Path) -> str | None:
    """What a PyTorch checkpoint holds and how to convert it, or why not.

    None for a file that is no such checkpoint. Nothing in the file is executed.
    """
    kind = _kind(path)
    if kind is None:
        return None
    head = f"expected a .safetensors file; {path} is {kind}"
    if kind == _UNREADABLE:
        return f"{head}: it is cut short or damaged, so fetch it again"
    try:
        named = _named(path)
    except (ValueError, KeyError, IndexError, EOFError, OSError, zipfile.BadZipFile):
        named = None
    if named is None or any(name.split(" ")[0] not in _OF_TENSORS for name in named.classes):
        return (
            f"{head} with objects of the program that wrote it, which loading would run: export "
            "its tensors there to safetensors"
        )
    names = _without_prefix(named.tensors)
    own_tensors = set(tensor_shapes())
    if not own_tensors <= names:
        first = ", ".join(sorted(names)[:3]) or "none"
        return (
            f"{head}, and cannot be converted: its {len(names)} tensors ({first}, ...) are not "
            f"the {len(own_tensors)} of this network: other implementations have other layers"
        )
    if {"hyper_parameters", "state_dict"} <= named.strings:
        return f"{head} of `dcfst-train`: `dcfst-train export {path} OUT.safetensors` converts it"
    state = f"torch.load({path.name!r}, weights_only=True)"
    if not own_tensors <= named.tensors or named.strings & _NESTED:
        state = f"the state dict within {state}, its names without prefix"
    return (
        f"{head} with this network's tensors. To convert it, in Python: net = "
        f"dcfst_core.network.model.DCFSTNet(); net.load_state_dict({state}); "
        'dcfst_core.network.checkpoint.save_model(net, "OUT.safetensors", {})'
    )


def _kind(path: Path) -> str | None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("data.pkl") for name in archive.namelist()):
                return "a PyTorch checkpoint (a zip file with a pickle in it)"
        return "a zip file"
    with path.open("rb") as file:
        start = file.read(2)
    if len(start) == 2 and start[0] == 0x80 and start[1] <= _HIGHEST_PROTOCOL:
        return "a PyTorch checkpoint (a pickle)"
    if tarfile.is_tarfile(path):
        return "a tar file, as PyTorch wrote before 2017"
    if path.name.lower().endswith(_SUFFIXES):
        return _UNREADABLE
    return None


def _named(path: Path) -> _Named:
    """What the pickles of a checkpoint name, in its zip file or, before 2020, in the file."""
    named = _Named()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            (member,) = (i for i in archive.infolist() if i.filename.endswith("data.pkl"))
            if member.file_size > _MOST_BYTES:
                raise ValueError("a list of tensors of such a size is none")
            _look_through(io.BytesIO(archive.read(member)), named)
        return named
    with path.open("rb") as file:
        start = io.BytesIO(file.read(_MOST_BYTES))
    for _ in range(4):  # a magic number, the version, the machine, and then what was saved
        _look_through(start, named)
    return named


def _look_through(pickled: BinaryIO, named: _Named) -> None:
    memo: dict[int, str | None] = {}
    key: str = ""
    value: str | None = None
    strings: list[str] = []
    argument: Any
    for code, argument, _ in pickletools.genops(pickled):
        if "PUT" in code.name:
            memo[argument] = value
            continue
        if code.name == "MEMOIZE":
            memo[len(memo)] = value
            continue
        value = None
        if "UNICODE" in code.name:
            value = key = argument
            strings.append(argument)
        elif code.name in ("GLOBAL", "INST", "STACK_GLOBAL"):
            name = " ".join(strings[-2:]) if code.name == "STACK_GLOBAL" else str(argument)
            named.classes.add(name)
            value = name
        elif "GET" in code.name:
            value = memo.get(argument)
            if value is not None and value not in named.classes:
                key = value
        if value in _TENSOR:
            named.tensors.add(key)
    named.strings.update(strings)


def _without_prefix(names: set[str]) -> set[str]:
    """Names of tensors without the prefixes that wrappers add."""
    for prefix in _PREFIXES:
        if names and all(name.startswith(prefix) for name in names):
            names = {name.removeprefix(prefix) for name in names}
    return names
