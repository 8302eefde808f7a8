# Pharos. `make` lists the targets; each installs the packages it needs into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONDONTWRITEBYTECODE ?= 1

.DEFAULT_GOAL := help
# More for the load test: make load ARGS='--profile shop --rate 2000 --duration 60'
ARGS ?=
REPORT ?= var/load.html

LOCK := -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock"

.PHONY: load chaos sbom help setup run test unit check check-types check-others fmt lock bench demo native tag report clean-data

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## Install what development needs into .venv (again when a lock file changes)

# Two marks, so that running installs less than developing. The packages of the first lock file are all in the second,
# so `make setup` installs once.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11) and "Pharos needs Python 3.11 or newer; set PYTHON=...")

$(VENV)/.runs: requirements-run.lock
	@$(PYTHON) -c '$(NEW_ENOUGH)'
	@$(PYTHON) deploy/install.py $(VENV) $<
	@touch $@

$(VENV)/.installed: requirements-dev.lock requirements-run.lock
	@$(PYTHON) -c '$(NEW_ENOUGH)'
	@$(PYTHON) deploy/install.py $(VENV) $<
	@touch $(VENV)/.runs $@

run: $(VENV)/.runs  ## Start a broker, ClickHouse, the collector, the enricher and the sink on this machine
	@exec $(BIN)/python -m deploy.local

test: setup  ## Run every test (PHAROS_TEST_REQUIRE=all: no skips; PYTEST="-k spool": options)
	$(BIN)/python -m pytest $(PYTEST)

unit: setup  ## Run the tests that need no process and no network: seconds (PYTEST="-k spool": options)
	$(BIN)/python -m pytest -q -m unit --hypothesis-profile=unit $(PYTEST)

load: $(VENV)/.runs  ## Send traffic to what `make run` started (or start it), audit every hit, write REPORT
	@mkdir -p $(dir $(REPORT))
	@$(BIN)/python -m loadtest run --here --html $(REPORT) $(ARGS)

clean-data: $(VENV)/.runs  ## Delete what `make run` has stored, to start over; sites, links and keys stay
	@$(BIN)/python -m deploy.local.clean

demo: $(VENV)/.runs  ## Send a month of example shop traffic, then compare the attribution models
	@$(BIN)/python -m loadtest demo $(ARGS)

chaos: $(VENV)/.runs  ## Kill each program at least twice under load, audit every hit
	@mkdir -p var
	@$(BIN)/python -m loadtest chaos --html var/chaos.html $(ARGS)

native: setup  ## Compile the hot path to C, into var/native: a hit costs a sixth to a third less CPU
	@rm -rf var/native
	@$(BIN)/python -m deploy.native var/native

bench: setup  ## Run every benchmark against its reference (PART=collector: one of them)
	@$(BIN)/python -m loadtest.bench $(or $(PART),all)

check: setup  ## Check format, lint, types, dependencies, spelling, words, rooms, generated pages; change nothing
	@$(MAKE) --no-print-directory --output-sync --jobs=2 check-types check-others

check-types:
	$(BIN)/mypy

check-others:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/deptry . && $(BIN)/deptry tests --ignore DEP002,DEP004 --exclude '\.venv'
	$(BIN)/codespell $$(git ls-files | grep -v '[.]lock$$')
	$(BIN)/python -m tests.words
	$(BIN)/python -m tests.rooms
	$(BIN)/python -m tests.tag.built
	$(BIN)/python -m tests.report.built
	$(BIN)/python -m tests.deploy.metrics_page
	$(BIN)/python -m tests.deploy.settings_page
	$(BIN)/python -m tests.sql.docs.columns
	$(BIN)/python -m deploy.grafana.dashboards

tag: setup  ## Build the tag's scripts from tag/src; needs Node
	$(BIN)/python -m tests.tag.built --write

report: setup  ## Build the report page from deploy/report/src; needs Node
	$(BIN)/python -m tests.report.built --write

fmt: setup  ## Fix what can be fixed automatically
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python -m tests.deploy.metrics_page --write
	$(BIN)/python -m tests.deploy.settings_page --write
	$(BIN)/python -m tests.sql.docs.columns --write
	$(BIN)/python -m deploy.grafana.dashboards --write

sbom: setup  ## List what is installed where the programs run, as CycloneDX, in var/sbom.json
	@mkdir -p var
	@$(BIN)/uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py requirements requirements.lock --output-format JSON -o var/sbom.json

lock: setup  ## Pin every dependency with hashes; keeps the pins that still fit
	@$(BIN)/uv pip compile $(LOCK) pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile $(LOCK) -c requirements.lock pyproject.toml --all-extras -o requirements-run.lock
	@$(BIN)/uv pip compile $(LOCK) -c requirements-run.lock pyproject.toml --all-extras --group dev -o requirements-dev.lock
	@$(BIN)/uv pip compile $(LOCK) -c requirements-dev.lock --group native -o requirements-native.lock
