"""Shared memory that killed processes left behind is removed, and only that."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from dcfst_ros.processes import remove_stale_shared_memory


@pytest.mark.fault("stale shared memory of killed processes")
def test_only_old_files_that_nobody_uses_are_removed(tmp_path: Path) -> None:
    names = ("fastrtps_left", "fastrtps_left_el", "sem.fastrtps_left", "fastrtps_open")
    for name in (*names, "fastrtps_mapped", "fastrtps_new", "others"):
        path = tmp_path / name
        path.write_bytes(b"0" * 16)
        if name != "fastrtps_new":
            os.utime(path, (1.0, 1.0))
    with (tmp_path / "fastrtps_mapped").open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 16)
    with (tmp_path / "fastrtps_open").open():
        assert remove_stale_shared_memory(tmp_path) == 3
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {"fastrtps_open", "fastrtps_mapped", "fastrtps_new", "others"}
    mapped.close()
    assert remove_stale_shared_memory(tmp_path, older_than_s=0.0) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"others"}
