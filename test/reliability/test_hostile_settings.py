"""The machine is not the developer's: started as from a shell, the results are alike."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LOCALE_SOURCES = Path("/usr/share/i18n/locales/de_DE")


@pytest.fixture(scope="module")
def expected(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tracks where nothing is special."""
    return run(arguments, tmp_path_factory.mktemp("plain"), {}).stdout


@pytest.fixture(scope="module")
def arguments(clip: Path, box: str, untrained: str, small: list[str]) -> list[str]:
    settings = ["--weights", untrained, "--device", "cpu", *small, "--max-frames", "5"]
    return ["track", str(clip), "--init", box, "--quiet", *settings]


def run(
    arguments: list[str], folder: Path, changes: dict[str, str | None]
) -> subprocess.CompletedProcess[str]:
    """Start the command as a shell does; a variable changed to None is not set at all."""
    env = {**os.environ, **{name: value for name, value in changes.items() if value is not None}}
    for name in (name for name, value in changes.items() if value is None):
        env.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "dcfst_core.cli", *arguments],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done


def without_times(table: str) -> list[list[str]]:
    """The rows but for the milliseconds."""
    return [[*row.split(",")[:8], *row.split(",")[9:]] for row in table.splitlines()]


def test_the_tables_have_rows(expected: str) -> None:
    assert len(expected.splitlines()) == 6 and "." in expected


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a locale that writes 0,5: built here, for few machines have it."""
    if shutil.which("localedef") is None or not LOCALE_SOURCES.exists():
        pytest.skip("no sources of locales")
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")]
    subprocess.run(command, check=False, capture_output=True)
    return folder


@pytest.mark.fault("locale with a decimal comma")
def test_numbers_have_points_where_the_locale_has_commas(
    arguments: list[str], expected: str, german: Path, tmp_path: Path
) -> None:
    settings = {"LOCPATH": str(german), "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}
    # Something in the process must really have switched to the comma.
    script = (
        "import locale, sys; locale.setlocale(locale.LC_ALL, '');"
        "assert locale.localeconv()['decimal_point'] == ',';"
        "from dcfst_core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, **settings},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert without_times(done.stdout) == without_times(expected)


@pytest.mark.slow
@pytest.mark.fault("no HOME")
@pytest.mark.fault("another time zone, with its clock changes")
def test_without_a_home_and_in_another_time_zone_it_works(
    arguments: list[str], expected: str, tmp_path: Path
) -> None:
    nothing = {"HOME": None, "XDG_CACHE_HOME": None, "USER": None}
    done = run(arguments, tmp_path, {**nothing, "TZ": "Pacific/Chatham"})
    assert without_times(done.stdout) == without_times(expected)


@pytest.mark.fault("read-only home")
@pytest.mark.fault("settings hostile to threads, forks and temporary files")
def test_with_hostile_settings_it_works_and_leaves_nothing_behind(
    arguments: list[str], expected: str, tmp_path: Path
) -> None:
    hostile = {
        **{"OMP_NUM_THREADS": "0", "OMP_THREAD_LIMIT": "1", "KMP_INIT_AT_FORK": "FALSE"},
        **{"OMP_DYNAMIC": "true", "PYTHONUTF8": "0", "CUDA_VISIBLE_DEVICES": "nonsense"},
        **{"MPLBACKEND": "nonsense", "PYTHONHASHSEED": "7", "TMPDIR": "/nowhere"},
        # /proc takes no files from anybody, root included.
        **{"HOME": "/proc", "XDG_CACHE_HOME": "/proc/cache"},
    }
    done = run(arguments, tmp_path, hostile)
    assert without_times(done.stdout) == without_times(expected)
    assert list(tmp_path.iterdir()) == []
