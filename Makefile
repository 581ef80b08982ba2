# The two commands of PostTx: `make demo` and `make test`. Both make .venv from requirements.lock first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.locked
DEMO ?= demo
ABLATION ?= ablation
RESULTS ?= results
# Tests run side by side; those that share the demo, the browser or what one file makes once stay together (tests/conftest.py).
CORES ?= 2

.DEFAULT_GOAL := help
.PHONY: help env demo ablation pdf sheet test test-slurm gpu-kit oracles faults fuzz clean-room statistics bench progress lint typecheck unit lock clean

help: ## Show the commands
	@echo 'PostTx: post-treatment glioma segmentation. Commands:'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

env: $(READY) ## Make or update .venv from the lock file

$(READY): requirements.lock requirements-bootstrap.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "PostTx needs Python 3.11 or newer, this is %s: make PYTHON=python3.11 ..." % sys.version.split()[0])'
	@echo 'PostTx: making $(VENV) from requirements.lock (about 7 GB, minutes on the first run, seconds from a cache) ...'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@# The system's certificates, because many a hospital's network signs with its own.
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --system-certs --compile-bytecode --require-hashes requirements.lock
	@touch $@
	@echo 'PostTx: environment ready.'

demo: $(READY) ## Run the whole workflow on the phantom cohort (CPU, minutes) into demo/results
	@echo 'PostTx: running the demo; progress below, results in $(DEMO)/results ...'
	@$(BIN)/snakemake --workflow-profile profiles/demo --directory $(DEMO)
	@echo
	@echo 'PostTx: the report is $(abspath $(DEMO))/results/report/index.html'

ablation: $(READY) ## Train the plain network and one lever at a time on hard phantoms (CPU, hours), into docs/ablation.md
	@$(BIN)/snakemake --workflow-profile profiles/demo --configfile config/ablation.yaml --directory $(ABLATION)
	@$(BIN)/python workflow/scripts/write_ablation.py $(ABLATION)/results docs/ablation.md
	@echo 'PostTx: the tables are docs/ablation.md, the report is $(abspath $(ABLATION))/results/report/index.html'

pdf: $(READY) ## Print the report of RESULTS=results as report.pdf, by the system's Chromium or Chrome
	@$(BIN)/python workflow/scripts/print_report.py $(RESULTS)

progress: ## Show where the folds of RESULTS=results stand, live until all are done (ONCE=1: once)
	@$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) workflow/scripts/show_progress.py $(RESULTS) $(if $(ONCE),--once)

test: $(READY) lint typecheck ## Run every check and test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) tests/unit
	$(BIN)/python -m pytest -n $(CORES) --dist loadscope --no-loadscope-reorder --ignore tests/unit

test-slurm: $(READY) ## Run the workflow on a real single-node SLURM (root on Debian; installs it if needed)
	tests/slurm/cluster.sh run $(BIN)/python -m pytest -m slurm tests/slurm

gpu-kit: $(READY) ## Make .gpu-kit (47 MB): what a machine with a GPU lacks to run tests/gpu/run.sh (KIT_PYTHON=3.12)
	$(BIN)/python tests/gpu/make_kit.py --python $(or $(KIT_PYTHON),3.12)

oracles: $(READY) .venv-oracles/.locked ## Compare the scorer with the field's own, brats-evaluation among them
	POSTTX_BRATS_EVALUATE=$(CURDIR)/.venv-oracles/bin/brats-evaluate $(BIN)/python -m pytest tests/oracles

faults: $(READY) ## All faults: also KILLS=100 kills of whole runs, and twenty of a fold of the demo
	OMP_NUM_THREADS=1 POSTTX_KILLS=$(or $(KILLS),100) $(BIN)/python -m pytest -v --durations=0 tests/faults

fuzz: $(READY) ## Spoil every kind of input EXAMPLES=3000 times and look for what crashes
	POSTTX_FUZZ=$(or $(EXAMPLES),3000) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) tests/unit/test_fuzz.py

clean-room: ## Try the README's commands as a new user of this machine, from a fresh clone (root on Linux; an hour)
	tests/clean_room.sh

statistics: $(READY) ## Simulate what the intervals cover and how often a verdict is false (TRIALS=1000 per cell; minutes)
	OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts $(BIN)/python tests/statistics/simulate.py --trials $(or $(TRIALS),1000)

bench: $(READY) .venv-oracles/.locked ## Time the stages against their peers; DEMO=demo is a finished demo
	POSTTX_BRATS_EVALUATE=$(CURDIR)/.venv-oracles/bin/brats-evaluate $(BIN)/python tests/benchmarks/bench.py --demo $(DEMO)/results

.venv-oracles/.locked: tests/oracles/requirements.txt
	@echo 'PostTx: making .venv-oracles for scorers that need older packages ...'
	@test -x .venv-oracles/bin/python || $(PYTHON) -m venv .venv-oracles
	@.venv-oracles/bin/python -m pip install --quiet --disable-pip-version-check -r tests/oracles/requirements.txt
	@touch $@

sheet: $(READY) ## Propose a sheet from any folder, to be checked: DATA=<folder> OUT=cases.tsv
	@$(BIN)/python workflow/scripts/propose_sheet.py "$(DATA)" "$(or $(OUT),cases.tsv)"

lint: $(READY) ## Check style: ruff, snakefmt, snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint --configfile config/demo.yaml

typecheck: $(READY) ## Check the types of posttx
	$(BIN)/mypy

unit: $(READY) ## Run the fast tests only
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) tests/unit

lock: ## Resolve requirements.lock anew from pyproject.toml (needs uv in .venv)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --group test pyproject.toml -o requirements.lock
	echo 'uv==0.13.9' | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header - -o requirements-bootstrap.lock

clean: ## Remove the demo's results (the environment and results/ stay)
	rm -rf $(DEMO)
