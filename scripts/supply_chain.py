#!/usr/bin/env python3
"""What the product is made of (an SBOM, CycloneDX) and which of it has known faults (pip-audit).

    python3 scripts/supply_chain.py sbom  [OUT.json]   from the lock file of this Python
    python3 scripts/supply_chain.py audit [OUT.md]     asks PyPI about each release, and says so

Both tools are installed into a folder of their own, which is removed afterwards. The audit ends
with 1 when a release has a known fault, and with 2 when it could not ask about all of them:
pip-audit itself calls a release that nobody answered for "skipped" and ends well.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from setup_pip import lock_path

TOOLS = {"sbom": "cyclonedx-bom>=7", "audit": "pip-audit>=2.9"}


def tool(folder, name):
    """Install one of the tools; the folder of its programs."""
    venv.create(folder, with_pip=True)
    programs = Path(folder) / "bin"
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, TOOLS[name]], check=True)
    return programs


def sbom(lock, out):
    """Write the bill of materials of a lock file."""
    with tempfile.TemporaryDirectory() as folder:
        program = tool(folder, "sbom") / "cyclonedx-py"
        command = [program, "requirements", lock, "--output-reproducible", "--of", "JSON"]
        subprocess.run([*command, "-o", out], check=True)
    count = len(json.loads(Path(out).read_text())["components"])
    print(f"{out}: {count} components of {lock}")
    return 0


def audit(lock, out):
    """Write what is known against the releases of a lock file."""
    with tempfile.TemporaryDirectory() as folder:
        program = tool(folder, "audit") / "pip-audit"
        command = [program, "-r", lock, "--disable-pip", "--no-deps", "--progress-spinner", "off"]
        done = subprocess.run([*command, "-f", "json"], stdout=subprocess.PIPE)
    text, code = report(json.loads(done.stdout)["dependencies"], Path(lock).name)
    print(text, end="")
    if out:
        Path(out).write_text(text)
    return code


def report(releases, lock):
    """The dated result in words, and the exit status."""
    skipped = [r for r in releases if "skip_reason" in r]
    asked = [r for r in releases if "skip_reason" not in r]
    faults = [(r, fault) for r in asked for fault in r["vulns"]]
    lines = [
        f"# Known faults of the releases in {lock}, {time.strftime('%Y-%m-%d')}",
        "",
        f"{len(asked)} of {len(releases)} releases were answered for; "
        f"{len(faults)} known faults in them.",
    ]
    for release, fault in faults:
        mended = ", ".join(fault["fix_versions"]) or "no release yet"
        what = f"{release['name']} {release['version']}: {fault['id']}"
        lines.append(f"- {what}, mended in {mended}")
    if skipped:
        lines.append(f"Not answered for, so nothing is known: {len(skipped)}, first of them:")
        lines += [f"- {r['name']}: {r['skip_reason']}" for r in skipped[:5]]
    return "\n".join(lines) + "\n", 1 if faults else 2 if skipped or not releases else 0


def main():
    """Parse and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=sorted(TOOLS))
    parser.add_argument("out", nargs="?", help="file to write; the SBOM's default: sbom.json")
    parser.add_argument("--lock", default=lock_path("{}.{}".format(*sys.version_info)))
    options = parser.parse_args()
    if options.what == "sbom":
        return sbom(options.lock, options.out or "sbom.json")
    return audit(options.lock, options.out)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"supply_chain: {error.cmd[0]} failed with {error.returncode}")
