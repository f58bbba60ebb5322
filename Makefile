# Two commands: `make demo` shows the tracker at work through ROS 2, `make test` checks everything.
# Both make .venv first; a second run skips that in seconds.
PYTHON3 ?= python3
PY := .venv/bin/python

VIDEO ?=
BOX ?=
PYTEST_ARGS ?=
# Files of tests that run at a time, each in a process with one thread; 0: in pytest itself.
WORKERS ?= 2
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

# Files in their order, as those with few tests take as long as those with many.
PYTEST := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(PY) -m pytest
SPREAD := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Nodes have deadlines, which a second worker on two cores makes them miss: one after the other.
WITHOUT_NODES := $(SPREAD) -m "not slow and not gpu and not ros"
WITH_NODES := -m "ros and not slow and not gpu"

test: lint
ifeq ($(strip $(PYTEST_ARGS)),)
	$(PYTEST) $(WITHOUT_NODES)
	$(PYTEST) $(WITH_NODES)
else
	$(PYTEST) $(SPREAD) $(PYTEST_ARGS)
endif

bench-gate: setup-run
	@$(PY) scripts/bench_gate.py --base "$(BASE)"

clean:
	rm -rf .venv build install log demo_out

# ---- reliability: docs/reliability.md says what each of these does -------------------------------
FRAMES ?= 100000
CASES ?= 100000
SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')

.PHONY: soak fuzz scenarios coverage reliability

soak: setup
	$(PY) test/reliability/soak.py --frames $(FRAMES) --out soak_out --plot soak_out/soak.png

fuzz: setup
	@echo "seed $(SEED): repeat with make fuzz CASES=$(CASES) SEED=$(SEED)"
	$(PY) -m pytest test/reliability/fuzz --fuzz-cases $(CASES) --fuzz-seed $(SEED) --timeout 86400 \
		--junitxml=fuzz.xml $(PYTEST_ARGS)

scenarios: setup
	$(PY) scripts/make_scenarios.py scenarios
	$(PY) -m dcfst_core.cli scenario scenarios --json scenarios/outcomes.json

# Nodes and commands in processes of their own are counted too.
coverage: setup
	rm -f .coverage .coverage.*
	$(PYTEST) $(WITHOUT_NODES) --cov --cov-report=
	$(PYTEST) $(WITH_NODES) --cov --cov-append --cov-report=
	$(PY) -m coverage report --skip-covered

# All faults, the slow ones too, then the page that tells of them.
reliability: setup
	$(PY) -m pytest -m "fault and not gpu" --junitxml=faults.xml $(PYTEST_ARGS) || true
	$(PY) scripts/reliability_report.py faults.xml
