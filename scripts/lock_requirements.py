#!/usr/bin/env python3
"""Write scripts/locks/pyXYZ.txt: every release that the set-up may fetch, with its hashes.

    pip install uv                           the tool that resolves them
    python scripts/lock_requirements.py      all Pythons of setup_checks.SUPPORTED
    python scripts/lock_requirements.py 3.11

`scripts/setup_env.py --locked` then takes these releases and nothing else. Run this again when a
requirement changes; a test compares the two.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

import setup_env
from setup_checks import SUPPORTED
from setup_pip import ROOT, lock_path

COMMENT = """# Made by scripts/lock_requirements.py for Python {version}, Linux x86_64.
# What `python3 scripts/setup_env.py --locked` installs.
"""
PLATFORM = "x86_64-manylinux_2_28"


def requirements():
    """All that any step of the set-up asks pip for, one requirement a line."""
    lines = setup_env.TORCH.split() + setup_env.PACKAGE_DEPENDENCIES + setup_env.EXTRAS
    lines += [*setup_env.TEST_TOOLS, "opencv-python>=4.8", "opencv-python-headless>=4.8"]
    for name in ("requirements.txt", "requirements-build.txt"):
        with open(os.path.join(setup_env.ROS_ENV, name)) as file:
            lines += [line.strip() for line in file if line.strip() and line[0] != "#"]
    with open(os.path.join(ROOT, "training", "pyproject.toml")) as file:
        block = re.search(r"^dependencies = \[(.*?)^\]", file.read(), re.DOTALL | re.MULTILINE)
    return lines + re.findall(r'^\s*"([^"]+)"', block.group(1), re.MULTILINE)


def pythons():
    """The Pythons to lock for, as `3.11`."""
    low, high = SUPPORTED
    return [f"{low[0]}.{minor}" for minor in range(low[1], high[1] + 1)]


def main():
    """Resolve for each Python; uv needs none of them to be installed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("versions", nargs="*", metavar="X.Y", help="Pythons; default: all")
    versions = parser.parse_args().versions or pythons()
    uv = shutil.which("uv")
    if uv is None:
        print("expected uv on the PATH, found none: pip install uv", file=sys.stderr)
        return 1
    for version in versions:
        command = [uv, "pip", "compile", "-", "--quiet", "--generate-hashes", "--no-header"]
        command += ["--no-annotate", "--python-version", version, "--python-platform", PLATFORM]
        given = "\n".join(requirements()).encode()
        done = subprocess.run(command, input=given, stdout=subprocess.PIPE)
        if done.returncode:
            return done.returncode
        with open(lock_path(version), "wb") as file:
            file.write(COMMENT.format(version=version).encode() + done.stdout)
        print(f"{lock_path(version)}: {done.stdout.count(b'==')} releases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
