# Two commands: `make demo` shows the tracker at work through ROS 2, `make test` checks everything.
# Both make .venv first; a second run skips that in seconds.
PYTHON3 ?= python3
PY := .venv/bin/python

VIDEO ?=
BOX ?=
PYTEST_ARGS ?=
BASE ?= main

.PHONY: demo test lint bench-gate setup setup-run clean

setup-run:
	@command -v $(PYTHON3) >/dev/null || { echo "expected Python 3.10 to 3.13 as '$(PYTHON3)', found none: install python3, or make demo PYTHON3=/path/to/python3"; exit 1; }
	@$(PYTHON3) scripts/setup_env.py --run-only

setup:
	@command -v $(PYTHON3) >/dev/null || { echo "expected Python 3.10 to 3.13 as '$(PYTHON3)', found none: install python3, or make test PYTHON3=/path/to/python3"; exit 1; }
	@$(PYTHON3) scripts/setup_env.py

demo: setup-run
	@$(PY) -m dcfst_ros.demo --video "$(VIDEO)" --box "$(BOX)"

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache

test: lint
	$(PY) -m pytest $(PYTEST_ARGS)

bench-gate: setup-run
	@$(PY) scripts/bench_gate.py --base "$(BASE)"

clean:
	rm -rf .venv build install log demo_out
