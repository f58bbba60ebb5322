"""The fixture of the fuzz tests: how many cases, from which seed, under which bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from bench_fixtures import clean_shared_memory as clean_shared_memory
from bench_fixtures import running_bench as running_bench
from bench_fixtures import shared as shared
from bench_fixtures import weights as weights
from fuzzing import Fuzz, bounded_memory

# The sum of the shares of all tests here; a test of its own holds it.
TOTAL_SHARES = 121


@pytest.fixture
def fuzz(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Iterator[Fuzz]:
    """Draws this test's share of the cases; what was really run goes into the report."""
    (share,) = request.node.get_closest_marker("fuzz").args
    cases = request.config.getoption("--fuzz-cases") * share // TOTAL_SHARES
    made = Fuzz(max(1, cases), request.config.getoption("--fuzz-seed"))
    with bounded_memory():
        yield made
    record_property("fuzz cases", made.done)
    record_property("fuzz seed", made.seed)
