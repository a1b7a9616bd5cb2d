# The only list of commands. Each works from a fresh clone: it makes the environment it needs first.
PYTHON ?= python3.11
BIN := .venv/bin
# CI runs everything and measures coverage; a developer's `make test` leaves out what is marked slow.
TESTS := -n auto --dist worksteal $(if $(CI),--cov --cov-report=term,-m "not slow")

.PHONY: demo test check lint bench lock clean
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

lock: .venv/.dev  ## write requirements/*.txt anew, after a pin in pyproject.toml has changed
	requirements/lock.sh

# What is installed is what the lock files name, to the byte. PyTorch is its CPU build where pip finds one.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --progress-bar off --no-deps --no-build-isolation
LOCKED := $(INSTALL) --require-hashes
TORCH := $(LOCKED) -r requirements/torch-cpu.txt 2>/dev/null || $(LOCKED) -r requirements/torch-cuda.txt

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.demo: pyproject.toml requirements/batch.txt requirements/text.txt | .venv/bin/python
	@$(LOCKED) -r requirements/build.txt
	@$(LOCKED) -r requirements/batch.txt -r requirements/text.txt
	@$(TORCH)
	@$(INSTALL) -e .
	@touch $@

.venv/.dev: pyproject.toml requirements/dev.txt | .venv/bin/python
	@$(LOCKED) -r requirements/build.txt
	@$(LOCKED) -r requirements/dev.txt
	@$(TORCH)
	@$(INSTALL) -e .
	@touch $@ .venv/.demo
