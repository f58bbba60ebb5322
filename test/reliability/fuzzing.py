"""Random cases for a check: drawn by hypothesis, or made of real files by changing their bytes.

A check raises for what must not happen. Errors that the library documents (DCFSTError) are a
result like any other; every other error, a case that takes long and memory beyond a bound fail.
"""

from __future__ import annotations

import random
import re
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import seed as with_seed
from hypothesis.strategies import SearchStrategy

from dcfst_core.errors import DCFSTError

# A case that takes longer hangs, as far as a robot is concerned.
LONGEST_S = 10.0
MOST_BYTES = 2**30
_NUMBERS = (
    b"1e999",
    b"-1",
    b"nan",
    b"inf",
    b"0",
    b"99999999999999999999",
    b"1e-320",
    b"0x7f",
    b"",
)
_PIECES = (
    b"[",
    b"{",
    b'"',
    b",",
    b";",
    b"\n",
    b"\r",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
)


class Fuzz:
    """Draws `cases` cases from `seed`; `done` counts those that were checked."""

    def __init__(self, cases: int, seed: int) -> None:
        self.cases, self.seed, self.done = cases, seed, 0

    def draw(self, strategy: SearchStrategy[Any], check: Callable[[Any], object]) -> None:
        """Check what hypothesis draws; a failing case is made small and shown."""

        def one(case: Any) -> None:
            self.done += 1
            self._check(check, case)

        drawn = given(strategy)(one)
        limited = settings(
            max_examples=self.cases,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )(drawn)
        with_seed(self.seed)(limited)()

    def mutate(self, samples: Sequence[bytes], check: Callable[[bytes], object]) -> None:
        """Check files that were real ones before some of their bytes changed."""
        for index in range(self.cases):
            case = mutated(random.Random(f"{self.seed} {index}"), samples)
            self.done += 1
            try:
                self._check(check, case)
            except Exception as error:
                error.add_note(f"case {index} of --fuzz-seed={self.seed}: {case[:2000]!r}")
                raise

    def _check(self, check: Callable[[Any], object], case: Any) -> None:
        began_s = time.process_time()  # other work on the machine does not count
        try:
            check(case)
        except DCFSTError as error:
            assert str(error), "an error says what was expected"
        took_s = time.process_time() - began_s
        assert took_s < LONGEST_S, f"took {took_s:.0f} s"


def mutated(rng: random.Random, samples: Sequence[bytes]) -> bytes:
    """One of the samples with a few of its bytes changed, cut, doubled, or taken from another."""
    data = bytearray(rng.choice(samples))
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        rng.choice(_CHANGES)(rng, data, samples)
    return bytes(data)


def _flip(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _insert(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = rng.choice(_PIECES) * rng.choice((1, 1, 2, 3000))


def _noise(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    at = rng.randint(0, len(data))
    data[at : at + rng.randint(0, 8)] = rng.randbytes(rng.randint(0, 8))


def _cut(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    at = rng.randint(0, len(data))
    del data[at : at + rng.choice((1, 4, 64, len(data)))]


def _double(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    at, length = rng.randint(0, len(data)), rng.choice((1, 8, 200))
    data[at:at] = data[at : at + length] * rng.choice((1, 2, 20))


def _splice(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    other = rng.choice(samples)
    data[rng.randint(0, len(data)) :] = other[rng.randint(0, len(other)) :]


def _number(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    start = rng.randint(0, len(data))
    found = re.search(rb"-?\d+(\.\d+)?", data[start : start + 4096])
    if found is not None:
        data[start + found.start() : start + found.end()] = rng.choice(_NUMBERS)


_CHANGES = (_flip, _insert, _noise, _cut, _double, _splice, _number, _number)


@contextmanager
def bounded_memory(most_bytes: int = MOST_BYTES) -> Iterator[None]:
    """Memory beyond the bound is an error at once, however lazily the system hands it out."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + most_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
