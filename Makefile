# The two commands of PostTx: `make demo` and `make test`. Both make .venv from requirements.lock first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.locked
DEMO ?= demo
RESULTS ?= results

.DEFAULT_GOAL := help
.PHONY: help env demo test progress lint typecheck unit lock clean

help: ## Show the commands
	@echo 'PostTx: post-treatment glioma segmentation. Commands:'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

env: $(READY) ## Make or update .venv from the lock file

$(READY): requirements.lock requirements-bootstrap.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "PostTx needs Python 3.11 or newer, this is %s: make PYTHON=python3.11 ..." % sys.version.split()[0])'
	@echo 'PostTx: making $(VENV) from requirements.lock (about 7 GB, minutes on the first run, seconds from a cache) ...'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	@touch $@
	@echo 'PostTx: environment ready.'

demo: $(READY) ## Run the whole workflow on the phantom cohort (CPU, minutes) into demo/results
	@echo 'PostTx: running the demo; progress below, results in $(DEMO)/results ...'
	@$(BIN)/snakemake --workflow-profile profiles/demo --directory $(DEMO)
	@echo
	@echo 'PostTx: the report is $(CURDIR)/$(DEMO)/results/report/index.html'

progress: ## Show where the folds of RESULTS=results stand, live until all are done (ONCE=1: once)
	@$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) workflow/scripts/show_progress.py $(RESULTS) $(if $(ONCE),--once)

test: $(READY) lint typecheck ## Run every check and test
	$(BIN)/python -m pytest

lint: $(READY) ## Check style: ruff, snakefmt, snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint --configfile config/demo.yaml

typecheck: $(READY) ## Check the types of posttx
	$(BIN)/mypy

unit: $(READY) ## Run the fast tests only
	$(BIN)/python -m pytest tests/unit

lock: ## Resolve requirements.lock anew from pyproject.toml (needs uv in .venv)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --group test pyproject.toml -o requirements.lock
	echo 'uv==0.13.9' | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header - -o requirements-bootstrap.lock

clean: ## Remove the demo's results (the environment and results/ stay)
	rm -rf $(DEMO)
