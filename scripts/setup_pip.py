"""pip and other commands in the environment that setup_env.py makes; their output goes to its log.

Like setup_env.py it runs on any Python from 3.6 on, to be able to say that it is the wrong one.
"""

import os
import re
import subprocess
import sys
import time

from setup_checks import SetupError, diagnose

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
LOG = os.path.join(VENV, "setup.log")
LOCKS = os.path.join(ROOT, "scripts", "locks")


def lock_path(version):
    """The lock file for a Python, given as `3.11`."""
    return os.path.join(LOCKS, "py{}.txt".format(version.replace(".", "")))


def run(command, env=None, cwd=ROOT):
    """Run one command with its output in the log; raise with its last lines when it fails."""
    with open(LOG, "ab+") as log:
        log.write("\n$ {}\n".format(" ".join(command)).encode())
        log.flush()
        start = log.tell()
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env, cwd=cwd)
        began = time.time()
        try:
            while process.poll() is None:
                time.sleep(0.2)
                if sys.stdout.isatty():
                    sys.stdout.write(f"\r      {time.time() - began:.0f} s ")
                    sys.stdout.flush()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if sys.stdout.isatty():
            sys.stdout.write("\r")
        log.seek(start)
        output = log.read().decode(errors="replace")
    if process.returncode != 0:
        tail = "\n".join("    " + line for line in output.strip().splitlines()[-15:])
        raise SetupError(
            "{}\n{}\n  command: {}\n  whole log: {}".format(
                tail, diagnose(output), " ".join(command), LOG
            )
        )


def pip_install(*requirements):
    """pip in the new environment, quiet about progress (the log has it all)."""
    run(
        [
            VENV_PYTHON,
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--progress-bar",
            "off",
            # All is there already, then, and nothing else may come.
            *(["--no-index"] if is_locked() else []),
            *requirements,
        ]
    )


def is_locked():
    """Whether the user asked for the releases of scripts/locks and no others."""
    return bool(os.environ.get("DCFST_LOCKED"))


def install_locked(chosen):
    """The releases of the lock file whose names are chosen, checked by their hashes."""
    if os.environ.get("DCFST_TORCH") or os.environ.get("DCFST_TORCH_INDEX"):
        raise SetupError("--locked knows one PyTorch only: give either it or DCFST_TORCH")
    code = "import sys; print('{}.{}'.format(*sys.version_info))"
    lock = lock_path(subprocess.check_output([VENV_PYTHON, "-c", code]).decode().strip())
    if not os.path.exists(lock) or os.uname().machine != "x86_64":
        raise SetupError(f"expected {lock}, made for x86_64; set up without --locked")
    with open(lock) as file:
        entries = re.split(r"\n(?=\S)", file.read())
    kept = [entry for entry in entries if entry[0] != "#" and chosen(entry.split("==")[0])]
    wanted = os.path.join(VENV, "locked.txt")
    with open(wanted, "w") as file:
        file.write("\n".join(kept))
    pip = [VENV_PYTHON, "-m", "pip", "install", "--disable-pip-version-check"]
    run([*pip, "--progress-bar", "off", "--no-deps", "--require-hashes", "-r", wanted])


def install_editable(folder):
    """A package of this checkout; nothing is fetched, so no lock has a say."""
    pip = [VENV_PYTHON, "-m", "pip", "install", "--disable-pip-version-check"]
    run([*pip, "--no-deps", "--no-build-isolation", "-e", folder])


def imports(module):
    """Whether the environment's Python can import a module; False where there is none yet."""
    return os.path.exists(VENV_PYTHON) and (
        subprocess.call(
            [VENV_PYTHON, "-c", "import " + module],
            cwd=VENV,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        == 0
    )
