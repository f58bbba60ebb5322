"""What the environment needs of the machine, and what its failures mean.

Like setup_env.py it runs on any Python from 3.6 on, to be able to say that it is the wrong one.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys

SUPPORTED = ((3, 10), (3, 13))
DISK_NEEDED_GB = 8.0  # measured: 6.6 GB, almost all of it PyTorch's CUDA libraries


class SetupError(Exception):
    """A step that cannot go on, with what to do about it."""


def describe_python(executable):
    """Return (version tuple, reason it will not do or None) for one interpreter."""
    probe = (
        "import json, os, struct, sys, sysconfig\n"
        "missing = []\n"
        "for name in ('venv', 'ensurepip'):\n"
        "    try: __import__(name)\n"
        "    except ImportError: missing.append(name)\n"
        "header = os.path.join(sysconfig.get_paths()['include'], 'Python.h')\n"
        "print(json.dumps([list(sys.version_info[:3]), sys.implementation.name, missing,\n"
        "                  os.path.exists(header), struct.calcsize('P') * 8]))\n"
    )
    try:
        done = subprocess.run(
            [executable, "-c", probe],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
        )
        version, name, missing, has_header, bits = json.loads(done.stdout.decode())
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None, "does not run"
    low, high = SUPPORTED
    if name != "cpython" or bits != 64:
        return version, "is not a 64-bit CPython"
    if not low <= tuple(version[:2]) <= high:
        return version, "is outside 3.10 to 3.13"
    if missing:
        return version, "has no module {} (Debian, Ubuntu: apt install python3-venv)".format(
            " or ".join(missing)
        )
    if not has_header:
        return version, "has no Python.h (Debian, Ubuntu: apt install python3-dev)"
    return version, None


def find_python():
    """Return the interpreter to build on; DCFST_PYTHON decides, else the first suitable one."""
    chosen = os.environ.get("DCFST_PYTHON")
    names = ["python3.12", "python3.11", "python3.10", "python3.13", "python3"]
    candidates = (
        [chosen]
        if chosen
        else [sys.executable] + [found for found in map(shutil.which, names) if found]
    )
    if not chosen:
        pyenv = os.path.expanduser("~/.pyenv/versions/3.1[0-3].*/bin/python")
        candidates += sorted(glob.glob(pyenv))
    refused = []
    for candidate in candidates:
        version, reason = describe_python(candidate)
        if reason is None:
            return candidate, version
        line = f"  {candidate} {reason}"
        if version:
            line = "  {} ({}) {}".format(candidate, ".".join(map(str, version)), reason)
        if line not in refused:
            refused.append(line)
    raise SetupError(
        "expected a CPython 3.10, 3.11, 3.12 or 3.13 with venv and headers; found:\n{}\n"
        "Install one (Debian, Ubuntu: apt install python3 python3-venv python3-dev) or name one:\n"
        "  DCFST_PYTHON=/path/to/python3.12 make demo".format("\n".join(refused) or "  no Python")
    )


def check_platform():
    """The ROS wheels are built for Linux only."""
    if not sys.platform.startswith("linux"):
        raise SetupError(
            f"expected Linux, found {sys.platform}. The ROS 2 wheels exist for Linux only; "
            "`pip install .` still gives the library and `dcfst`."
        )


def check_compiler():
    """vision_msgs has no wheel: its Python module is compiled here."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if not compiler or not shutil.which(compiler):
        raise SetupError(
            "expected a C++ compiler (c++, g++ or $CXX) to build vision_msgs, "
            "found none. Debian, Ubuntu: apt install build-essential"
        )
    if not (shutil.which("make") or shutil.which("ninja")):
        raise SetupError(
            "expected make or ninja to build vision_msgs, found neither. "
            "Debian, Ubuntu: apt install build-essential"
        )


def check_disk(path, needed_gb=DISK_NEEDED_GB):
    """Stop before a half-written environment."""
    free_gb = shutil.disk_usage(path).free / 1e9
    if free_gb < needed_gb:
        raise SetupError(
            f"expected {needed_gb:.0f} GB free at {path}, found {free_gb:.1f} GB. "
            "Free some space; pip's cache is often large: pip cache purge"
        )


FAILURES = (
    (r"No space left on device|Errno 28", "the disk is full"),
    (
        r"name resolution|Name or service not known|Connection refused|Network is unreachable|"
        r"Max retries|ConnectTimeout|ReadTimeout|Connection reset|ProxyError|SSLError|"
        r"Failed to establish a new connection|Could not fetch URL",
        "the package index could not be reached: check the network, the proxy (HTTPS_PROXY) and "
        "pip's index settings (pip config list)",
    ),
    (
        r"No matching distribution|Could not find a version",
        "the package index has no such version for this Python and machine, or was not reached",
    ),
    (r"fatal error: Python\.h|Could NOT find Python3", "this Python has no headers (python3-dev)"),
    (
        r"No CMAKE_CXX_COMPILER|CMAKE_CXX_COMPILER could not be found",
        "no working C++ compiler (build-essential)",
    ),
    (r"hash.*mismatch|THESE PACKAGES DO NOT MATCH", "a download was damaged: run it again"),
    (r"MemoryError|Killed|internal compiler error", "the machine ran out of memory"),
)


def diagnose(output):
    """Say in one line why a command's output ends in failure."""
    for pattern, meaning in FAILURES:
        if re.search(pattern, output):
            return meaning
    return "see the lines above"
