"""What is read off the processor."""

from __future__ import annotations

import platform

import pytest

from dcfst_core.inference.machine import describe_machine, has_fast_bfloat16


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
