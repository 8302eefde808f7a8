# Pharos. `make` alone lists what there is; every target builds the virtual environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONDONTWRITEBYTECODE ?= 1

.DEFAULT_GOAL := help
# More for the load test: make load ARGS='--profile shop --rate 2000 --duration 60'
ARGS ?=
REPORT ?= var/load.html

LOCK := -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock"

.PHONY: load chaos help setup run test unit check fmt lock bench demo native

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## Install what development needs into .venv (again when a lock file changes)

# Two marks, so that running installs less than developing. The packages of the first lock file are all in the second.
$(VENV)/.runs: requirements-run.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Pharos needs Python 3.11 or newer; set PYTHON=...")'
	@$(PYTHON) deploy/install.py $(VENV) $<
	@touch $@

$(VENV)/.installed: requirements-dev.lock $(VENV)/.runs
	@$(PYTHON) deploy/install.py $(VENV) $<
	@touch $@

run: $(VENV)/.runs  ## Start everything here: broker, ClickHouse, collector, enricher, sink
	@exec $(BIN)/python -m deploy.local

test: setup  ## Run every test (PHAROS_TEST_REQUIRE=all: no skips; PYTEST="-k spool": options)
	$(BIN)/python -m pytest $(PYTEST)

unit: setup  ## Run the tests that need no process and no network: seconds (PYTEST="-k spool": options)
	$(BIN)/python -m pytest -q -m unit --hypothesis-profile=unit $(PYTEST)

load: $(VENV)/.runs  ## Load what `make run` runs (or start it for the run), audit every hit, write REPORT
	@mkdir -p $(dir $(REPORT))
	@$(BIN)/python -m loadtest run --here --html $(REPORT) $(ARGS)

demo: $(VENV)/.runs  ## Tell what `make run` runs (or start it) a month of a shop; show what attribution makes of it
	@$(BIN)/python -m loadtest demo $(ARGS)

chaos: $(VENV)/.runs  ## Kill every component under load, at least twice; audit every hit
	@mkdir -p var
	@$(BIN)/python -m loadtest chaos --html var/chaos.html $(ARGS)

native: setup  ## Compile the way of a hit to C: the programs in var/native cost a sixth to a third less
	@rm -rf var/native
	@$(BIN)/python -m deploy.native var/native

bench: setup  ## Every benchmark against its floor (PART=collector for one)
	@$(BIN)/python -m loadtest.bench $(or $(PART),all)

check: setup  ## Look only: formatting, lint, types, generated pages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/deptry . && $(BIN)/deptry tests --ignore DEP002,DEP004 --exclude '\.venv'
	$(BIN)/codespell $$(git ls-files | grep -v '[.]lock$$')
	$(BIN)/python -m tests.words
	$(BIN)/python -m tests.rooms
	$(BIN)/python -m tests.deploy.metrics_page
	$(BIN)/python -m tests.deploy.settings_page
	$(BIN)/python -m deploy.grafana.dashboards

fmt: setup  ## Mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python -m tests.deploy.metrics_page --write
	$(BIN)/python -m tests.deploy.settings_page --write
	$(BIN)/python -m deploy.grafana.dashboards --write

lock: setup  ## Pin every dependency with hashes; keeps the pins that still fit
	@$(BIN)/uv pip compile $(LOCK) pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile $(LOCK) -c requirements.lock pyproject.toml --all-extras -o requirements-run.lock
	@$(BIN)/uv pip compile $(LOCK) -c requirements-run.lock pyproject.toml --all-extras --group dev -o requirements-dev.lock
	@$(BIN)/uv pip compile $(LOCK) -c requirements-dev.lock --group native -o requirements-native.lock
