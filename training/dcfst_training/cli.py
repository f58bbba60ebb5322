"""`dcfst-train`: `fit` trains, `evaluate` tracks with its checkpoints, `report` draws, and others.

Every setting of `fit` is a flag (`--data.batch_size 8`), a line in a YAML file (`--config
small.yaml`), or both; `dcfst-train fit --help` lists them. The same command goes on where it was.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module

from dcfst_core.errors import DCFSTError

USAGE = """usage: dcfst-train fit [--config FILE.yaml] [--run FOLDER] [--help] ...
       dcfst-train pack --out FOLDER --data.got10k FOLDER ... [--help]
       dcfst-train evaluate RUN --root FOLDER [--help]
       dcfst-train report RUN [--help]
       dcfst-train compare RUN RUN ... [--help]
       dcfst-train judge --root FOLDER --root FOLDER ... [--help]
       dcfst-train export CHECKPOINT OUT.safetensors [--help]
       dcfst-train bench solver|step|loader [--help]"""


def fit(arguments: list[str]) -> None:
    """Read the settings and train."""
    from dcfst_training import fit, fit_settings

    fit.fit(fit_settings.read_settings(arguments))


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `dcfst-train`: SystemExit 1 after an error, which is explained, 130 after
    Ctrl-C; a traceback means a defect."""
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if command not in COMMANDS:
        print(USAGE, file=sys.stderr)
        sys.exit(0 if command in ("-h", "--help") else 2)
    try:
        COMMANDS[command](rest)
    except (DCFSTError, FileNotFoundError) as error:
        print(f"dcfst-train {command}: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        print(f"dcfst-train {command}: stopped; what was finished is kept", file=sys.stderr)
        raise SystemExit(130) from None


def _in(module: str) -> Callable[[list[str]], None]:
    """A command's entry point, imported when it is called: `fit` starts without the others."""

    def run(arguments: list[str]) -> None:
        import_module(f"dcfst_training.{module}").main(arguments)

    return run


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "fit": fit,
    "pack": _in("pack"),
    "evaluate": _in("evaluate"),
    "report": _in("report"),
    "compare": _in("compare"),
    "judge": _in("judge"),
    "export": _in("export"),
    "bench": _in("benchmarks"),
}


if __name__ == "__main__":
    main()
