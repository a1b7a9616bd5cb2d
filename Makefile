# The only list of commands. Each works from a fresh clone: it makes the environment it needs first.
PYTHON ?= python3.11
BIN := .venv/bin
# CI runs everything and measures coverage; a developer's `make test` leaves out what is marked slow.
TESTS := -n auto --dist worksteal $(if $(CI),--cov --cov-report=term,-m "not slow")

.PHONY: demo test check lint bench docs clean
demo: .venv/.demo  ## train, release and serve the models on a synthetic community
	@$(BIN)/python demo.py

# There is a test on every core: within one, threads that wait for each other must not keep cores busy.
test: export OMP_WAIT_POLICY := passive
test: export OPENBLAS_NUM_THREADS := 1
test: .venv/.dev  ## run the tests, on every core
	$(BIN)/python -m pytest $(TESTS)

check: lint test  ## everything that a commit must pass

lint: .venv/.dev  ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.dev  ## measure speed beside a control and its peers, and write docs/benchmarks.md (10 minutes)
	$(BIN)/python -m benchmarks $(PARTS)

# What a deployment keeps in var/ (its journal, runs and bundles) can't be made again: only the demo's folder goes.
clean:  ## remove the environment, the demo and what tools left; what a deployment keeps stays
	rm -rf .venv var/demo *.egg-info .coverage .*_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.demo: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --progress-bar off -e ".[batch,serve,text,train]"
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --progress-bar off -e ".[dev]"
	@touch $@ .venv/.demo
