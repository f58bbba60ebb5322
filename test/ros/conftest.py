"""The node tests' fixtures."""

from bench_fixtures import bench as bench
from bench_fixtures import clean_shared_memory as clean_shared_memory
from bench_fixtures import own_domain as own_domain
from bench_fixtures import running_bench as running_bench
from bench_fixtures import shared as shared
from bench_fixtures import weights as weights
