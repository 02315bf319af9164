# The verbs people type. Everything happens in .venv, which make builds by itself from a Python >= 3.11.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  "$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v "$$p" && break; done)
ARGS ?=
# Seconds that `make test` may take.
BUDGET ?= 180
# Where tests write: to memory if there is a gigabyte of it to run programs from, for thousands of journals are
# synced, and what is lost without a sync has tests of its own. Else to the disk.
MEMORY = $(shell grep ' /dev/shm ' /proc/mounts 2>/dev/null | grep -qv noexec && test -w /dev/shm && \
  df -Pk /dev/shm | awk 'NR == 2 && $$4 > 1048576 { print "PYTEST_DEBUG_TEMPROOT=/dev/shm" }')
SEED := $(or $(SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' '))
DOCKER ?= docker
IMAGE ?= bmw-poller

# Containers often set it; a hundred starts of the poller, and every test file, would be compiled anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
RUNTIME := .venv/.runtime
DEV := .venv/.dev
SYSTEM := .venv/.system

.PHONY: help demo test soak system bench break check fix coverage docs lock image clean

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(RUNTIME) ## the daemon against simulated cars; prints the page's address
	$(BIN)/poller demo $(ARGS)

test: $(DEV) ## all tests, below three minutes on two cores
	$(MEMORY) $(BIN)/pytest -q -n 4 --dist loadfile --no-loadscope-reorder --timeout 150 --session-timeout $(BUDGET) $(ARGS)

soak: $(DEV) ## the same promises at full size, in random order of faults; SEED=… repeats a run
	@echo "seed: $(SEED)   (again: make soak SEED=$(SEED))"
	$(BIN)/pytest -m soak -n 2 --seed $(SEED) --hypothesis-seed $(SEED) $(ARGS)

system: $(SYSTEM) ## tests that need real systemd, Prometheus, a container engine or a browser
	$(BIN)/pytest -q -m system -rs -n 3 --dist loadfile --session-timeout 580 $(ARGS)

bench: $(RUNTIME) ## speed and size, most as ratios in one run (ten minutes); ARGS=--write puts them into the docs
	$(BIN)/python -m bench $(ARGS)

break: $(DEV) ## break the poller in many places, one after another: the tests notice each of them
	$(BIN)/python tools/breakages.py $(ARGS)

check: $(DEV) ## linter, formatter, types, direction of imports, freshness of the locks
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/lock.py --check

fix: $(DEV) ## let the linter and the formatter mend what they can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

coverage: $(DEV) ## the tests, with branch coverage
	$(BIN)/pytest -q -n 2 --cov --cov-report=term $(ARGS)

docs: $(DEV) ## write what comes from tables: signals page, alerts, dashboards, Axiom's monitors
	$(BIN)/python tools/signals_page.py
	$(BIN)/python tools/alert_rules.py
	$(BIN)/python tools/dashboards.py
	$(BIN)/python tools/axiom_board.py

lock: ## write the hashed locks from pyproject.toml; ARGS=--upgrade takes newer versions
	@$(require-python)
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/python -m pip --quiet --disable-pip-version-check install uv==0.13.9
	.venv/lock/bin/python tools/lock.py $(ARGS)

image: ## the container image
	$(DOCKER) build -t $(IMAGE) --build-arg REVISION=$$(git rev-parse HEAD) --build-arg CREATED=$$(date -u +%FT%TZ) $(ARGS) .

clean: ## remove .venv and what the tools left behind
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*

define require-python
test -n "$(PYTHON)" || { echo 'poller needs Python 3.11 or newer with venv (Debian: apt install python3-venv).'; \
  echo 'If it is somewhere else: make PYTHON=/path/to/python3.12 …'; exit 1; } >&2
endef

.venv/pyvenv.cfg:
	@$(require-python)
	@echo "Making .venv with $(PYTHON) (once) …"
	@$(PYTHON) -m venv --clear .venv

$(RUNTIME): .venv/pyvenv.cfg requirements.txt requirements-build.txt pyproject.toml
	@echo "Installing poller into .venv …"
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --require-hashes -r requirements-build.txt
	@$(PIP) --no-build-isolation --no-deps -e .
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.txt
	@echo "Installing the tools for tests and checks into .venv …"
	@$(PIP) --require-hashes -r requirements-dev.txt
	@echo "Compiling the tests, once for all who run them at the same time …"
	@$(BIN)/pytest --collect-only -qq >/dev/null 2>&1 || true
	@touch $@

$(SYSTEM): $(DEV) requirements-system.txt
	@$(PIP) --require-hashes -r requirements-system.txt
	@touch $@
