#!/usr/bin/env python3
"""Set up each supported Python that is on this machine, and run the fast tests with it.

    python3 scripts/each_python.py                      all that are found
    python3 scripts/each_python.py 3.12 -- test/core    one of them, some of the tests
    python3 scripts/each_python.py --numpy 1.26         NumPy as ROS distributions have it

Each gets what is committed and an environment of its own of 7 GB below ~/.cache/dcfst_pythons (or
--folder), set up from its lock file. A second run keeps the environments. uv or pyenv bring those
that are missing: `uv python install 3.10 3.12 3.13`.
"""

import argparse
import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

from setup_checks import SUPPORTED, describe_python

ROOT = Path(__file__).resolve().parent.parent
MANAGED = ("~/.pyenv/versions/*/bin/python", "~/.local/share/uv/python/*/bin/python3")


def versions():
    """`3.10` to the newest supported one."""
    (major, first), (_, last) = SUPPORTED
    return [f"{major}.{minor}" for minor in range(first, last + 1)]


def interpreters():
    """Version -> the first interpreter that will do; and what was found and will not."""
    found = [shutil.which(f"python{version}") for version in versions()]
    for pattern in MANAGED:
        found += sorted(glob.glob(os.path.expanduser(pattern)))
    usable, refused = {}, []
    for path in filter(None, [sys.executable, *found]):
        version, reason = describe_python(path)
        if reason is None:
            usable.setdefault(".".join(map(str, version[:2])), path)
        elif version:
            refused.append(f"{path} ({'.'.join(map(str, version))}) {reason}")
    return usable, refused


def run_one(version, python, options):
    """Check out, set up, test; the exit status of the first that fails."""
    folder = Path(options.folder).expanduser() / f"py{version}"
    folder.mkdir(parents=True, exist_ok=True)
    command = ["git", "archive", "HEAD"]
    archive = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env["DCFST_PYTHON"] = python
    own = folder / ".venv" / "bin" / "python"
    steps = [[python, "scripts/setup_env.py", *([] if options.newest else ["--locked"])]]
    if options.numpy:
        steps.append([own, "-m", "pip", "install", "--quiet", f"numpy=={options.numpy}.*"])
    steps.append([own, "-m", "pytest", "-q", *options.tests])
    for step in steps:
        code = subprocess.run(list(map(str, step)), cwd=folder, env=env).returncode
        if code:
            return code
    return 0


def main():
    """Run them one after the other and end with a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pythons", nargs="*", metavar="X.Y", help="default: all that are found")
    parser.add_argument("--numpy", metavar="X.Y", help="in place of the newest NumPy")
    parser.add_argument("--newest", action="store_true", help="newest releases, not the locked")
    parser.add_argument("--folder", default="~/.cache/dcfst_pythons")
    parser.epilog = "What stands after -- goes to pytest."
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options = parser.parse_args(sys.argv[1:split])
    options.tests = sys.argv[split + 1 :]
    usable, refused = interpreters()
    results = {}
    for version in options.pythons or versions():
        if version in usable:
            code = run_one(version, usable[version], options)
            results[version] = "passed" if code == 0 else f"failed ({code})"
        else:
            results[version] = "not on this machine"
    print("\n".join(f"Python {version}: {result}" for version, result in results.items()))
    print("\n".join(refused))
    named = [results[v] for v in options.pythons] or [
        r for r in results.values() if "not" not in r
    ]
    return 0 if named and all(result == "passed" for result in named) else 1


if __name__ == "__main__":
    sys.exit(main())
