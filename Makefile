# Two commands are all a newcomer needs: `make demo` and `make test`. Both set up by themselves.
# Variables: PYTHON (interpreter for the environment), CORES (default: all), CONFIG (demo's study; plan's
# is the paper's), PROFILE (plan's), TARGET (plan's), PYTEST_ARGS.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
CONFIG ?= config/demo.yaml
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
STAMP := $(VENV)/.installed
# Files of tests share two processes; most of a test is one process anyway.
PYTEST_ARGS ?= -n 2 --dist loadscope --durations 25 --durations-min 10
PYTEST = $(BIN)/python -m pytest $(PYTEST_ARGS)

# Set in many containers; each of hundreds of processes would then compile torch by itself.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-long test-all check plan preflight verify setup lint docs models lock conda-env

demo: $(STAMP)  ## the whole embedded study: train, merge, evaluate, tables, figures, report
	$(BIN)/snakemake --configfile $(CONFIG) --cores $(CORES) all
	$(BIN)/python workflow/scripts/summary.py --config $(CONFIG)

test: $(STAMP)  ## what shows that the project works on this machine
	$(PYTEST) -m "not long"

test-long: $(STAMP)  ## kills, a Slurm of its own, the whole hostile corpus, real inputs ($$MIXMERGE_DATA)
	$(PYTEST) -m "long or real_data"

test-all: lint test test-long  ## everything

check: lint  ## formatter, linters, types, and the tests that take no time
	$(PYTEST) -m "not slow and not long"

plan: CONFIG = config/config.yaml
plan: TARGET ?= all
plan: $(STAMP)  ## what a study would cost: jobs, GPU-hours, wall time, peak disk, critical path
	$(BIN)/python -m mixmerge.resources.plan --configfile $(CONFIG) \
		$(if $(PROFILE),--profile $(PROFILE),--cores $(CORES)) $(PLAN_ARGS) -- $(TARGET)

preflight: CONFIG = config/config.yaml
preflight: $(STAMP)  ## what would fail hours later: config, data, checkpoints, disk, GPUs, sandbox, cluster
	$(BIN)/snakemake --configfile $(CONFIG) $(if $(PROFILE),--profile $(PROFILE)) -- preflight

lint: $(STAMP)  ## formatter, linters, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint --configfile config/demo.yaml

docs: $(STAMP)  ## regenerate what docs/ and config/ say of the config, and the paper's audit
	$(BIN)/python tools/config_reference.py
	PYTHONPATH=tools $(BIN)/python -m paper_audit

models: $(STAMP)  ## docs/models.md: what each stage does with tiny models of many architectures
	PYTHONPATH=tools $(BIN)/python -m model_table

lock:  ## resolve pyproject.toml's dependencies afresh in a scratch environment and pin what comes out
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet '.[dev,s3,slurm]'
	$(VENV)-lock/bin/python -m pip freeze --all | grep -v -e '^pip==' -e '^mixmerge' \
		| sed -E 's/^(torch==[0-9.]+)\+.*/\1/' > envs/requirements.lock
	rm -rf $(VENV)-lock
	$(MAKE) setup conda-env

conda-env: $(STAMP)  ## what each stage needs of the lock, as conda environments (envs/*.yaml)
	$(BIN)/python tools/stage_environments.py

setup: $(STAMP)  ## the environment in .venv, nothing else

# One stamp for the whole environment: it is redone when the lock or the interpreter pin changes.
$(STAMP): envs/requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer on PATH; install one or run make PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# Python compiles what is imported, when it is; all of torch ahead of that takes minutes.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r envs/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@# But for what programs in a sandbox may import, where nothing can be written.
	@cd "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" && \
		$(CURDIR)/$(BIN)/python -m compileall -q -j 0 -x /tests/ numpy pandas scipy sympy networkx
	@# Snakemake finds its plugins by looking into folders, which an editable install of several hides.
	@printf '%s\n' $(CURDIR)/src $(CURDIR)/packages/*/src \
		> "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/mixmerge-sources.pth"
	@touch $@
