"""What is read off the processor."""

from __future__ import annotations

import platform
import sys

import pytest

from dcfst_core.inference.machine import (
    describe_machine,
    give_back_freed_memory,
    has_fast_bfloat16,
    has_fast_int8,
    resident_memory_mib,
)


@pytest.mark.parametrize(
    ("vendor", "flags", "fast"),
    [
        ("GenuineIntel", "avx2 avx512f avx512_bf16 amx_bf16", True),
        ("GenuineIntel", "avx2 avx512f avx512_bf16", False),
        ("AuthenticAMD", "avx2 avx512f avx512_bf16", True),
        ("AuthenticAMD", "avx2", False),
    ],
)
def test_bfloat16_is_used_where_it_is_fast(vendor: str, flags: str, fast: bool) -> None:
    assert has_fast_bfloat16({"vendor_id": vendor, "flags": flags}) is fast


def test_an_unknown_processor_computes_in_float32() -> None:
    assert not has_fast_bfloat16({})


def test_the_processor_is_named() -> None:
    assert describe_machine()["cpu"] not in ("", platform.machine())


@pytest.mark.parametrize(
    ("flags", "fast"),
    [
        ("avx2 avx512f avx512bw", False),
        ("avx2 avx_vnni", True),
        ("avx512f avx512_vnni", True),
        ("avx512f amx_int8", True),
        ("", False),
    ],
)
def test_bytes_are_fast_with_the_instructions_alone(flags: str, fast: bool) -> None:
    assert has_fast_int8({"flags": flags}) is fast


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_freed_memory_is_given_back_to_the_system() -> None:
    held = [bytearray(100_000) for _ in range(2000)]  # below glibc's threshold for mapping: heap
    end_of_heap = bytearray(100_000)
    full_mib, _ = resident_memory_mib()
    held.clear()
    give_back_freed_memory()
    assert resident_memory_mib()[0] < full_mib - 150
    assert len(end_of_heap) == 100_000
