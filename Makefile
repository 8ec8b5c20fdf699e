# `make repro` runs the whole pipeline, `make test` every check; each sets up what it needs. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
# One of the extras of pyproject.toml, without the project's own dependencies.
EXTRA = $$($(PYTHON) -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["$(1)"])')
BIN := $(VENV)/bin
# Where experiments run: ENGINE=slurm, ssh (with HOSTS), an address or a file; JOBS workers; DRY_RUN=1 only lists.
ENGINE_OPTIONS = $(if $(ENGINE),--engine $(ENGINE)) $(if $(JOBS),--jobs $(JOBS)) $(if $(HOSTS),--hosts $(HOSTS)) \
	$(if $(DRY_RUN),--dry-run) $(if $(EXCHANGE),--exchange)
ACCEPTED_HOLES := CVE-2025-69872  # docs/guarantees.md explains each
# Targets that do not depend on each other run side by side.
MAKEFLAGS += --jobs=2
# Each stage is a process of its own: without bytecode on disk, each would spend seconds compiling torch and scikit-learn.
unexport PYTHONDONTWRITEBYTECODE
# DVC starts the stages with the first `python` on PATH.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup data browser repro quick dataset explore test test-faults verify audit lint types lock experiments seeds sweep batch compare reference readme report docs plots \
	plots-page benchmark-reduction benchmark-training benchmark-binarized \
	benchmark-diffusion benchmark-explorer benchmark-startup benchmark-load benchmark-optimizers benchmark-pipeline benchmark-recipes benchmark-reading benchmark-scale \
	benchmark-side-by-side clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: setup  ## check params.yaml, then run every stage that is out of date, JOBS at a time
	python -m latentbench.params.file
	python -m tools.repro $(if $(JOBS),--jobs $(JOBS))

test: browser lint types  ## check lint and types, then run the tests, WORKERS at a time (default: 2)
	OMP_NUM_THREADS=1 python -m pytest -n $(or $(WORKERS),2) --dist worksteal

test-faults: setup data  ## run the long tests of docs/guarantees.md, WORKERS at a time (an hour or more)
	OMP_NUM_THREADS=1 python -m pytest -n $(or $(WORKERS),2) --dist worksteal -m faults

verify: setup  ## read all of DVC's cache, and list every file that has changed
	python -m tools.verify

audit: setup  ## check the locked packages for known vulnerabilities (needs the network)
	pip-audit --strict --disable-pip --no-deps --progress-spinner off --requirement requirements.lock \
		$(ACCEPTED_HOLES:%=--ignore-vuln %)
	$(if $(wildcard explorer/libraries/package-lock.json),npm audit --prefix explorer/libraries --package-lock-only)
	npm audit --prefix docs/libraries --package-lock-only

setup: $(VENV)/installed  ## create the virtual environment with the locked versions

# --no-compile: Python compiles a module when it is first imported, and most of them never are.
$(VENV)/installed: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "latentbench needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -r requirements.lock
	command -v npm >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check $(call EXTRA,node)
	touch $@

data: setup  ## fetch the dataset, and the libraries of the explorer's page
	dvc repro --quiet download explorer_libraries

# After the data, which apt-get may fetch too: only one apt-get can run at a time.
browser: data  ## install Chromium for the explorer's tests, if it is missing and you are root
	command -v chromium >/dev/null || test $$(id -u) != 0 || ! command -v apt-get >/dev/null || \
		apt-get install --quiet --quiet --yes --no-install-recommends chromium >/dev/null || \
		{ apt-get update --quiet --quiet && \
		apt-get install --quiet --quiet --yes --no-install-recommends chromium >/dev/null; }

# If SET names a dataset, the sketch fetches it itself.
quick: setup  ## sketch the whole comparison in minutes, from few images: quick/report/index.html (SET="latent_dim=16")
	dvc repro --quiet explorer_libraries $(if $(findstring data.dataset=,$(SET)),,download)
	python -m tools.quick $(if $(SET),--set $(SET))

dataset: setup  ## describe a folder of your own images: datasets/NAME.yaml (NAME=my_photos FROM=/path/to/folder SIZE="64 64")
	python -m tools.dataset "$(or $(NAME),$(error give a name, NAME=...))" \
		"$(or $(FROM),$(error give the folder of the images, FROM=...))" $(if $(SIZE),--size $(SIZE))

explore: setup  ## open the latent explorer of the last run in the browser
	python -m latentbench.explore

lint: setup
	ruff check .
	ruff format --check .

types: setup
	mypy

experiments: setup  ## list the experiments, with the params and headline numbers that differ
	dvc exp show --only-changed --no-pager --drop '^(data|stages|latentbench)/|^(Created|State|Executor)$$'

seeds: setup  ## run the comparison with N seeds (default: 5), SET changes params: metrics/seeds (each seed trains everything)
	python -m tools.seeds --n $(or $(N),5) $(if $(SET),--set $(SET)) $(ENGINE_OPTIONS)

compare: setup  ## compare experiments or commits A and B, each difference with its interval: compare/ (A=main B=<name>)
	python -m tools.compare $(or $(A),$(error give two experiments or commits, A=... and B=...)) \
		$(or $(B),$(error give two experiments or commits, A=... and B=...))

sweep: setup  ## run a GRID of params, or a SEARCH of TRIALS runs: metrics/sweeps (default: beta of the dense VAE)
	python -m tools.sweep $(if $(GRID),--grid $(GRID)) $(if $(SEARCH),--search $(SEARCH)) $(if $(TRIALS),--trials $(TRIALS)) $(if $(SCORE),--score $(SCORE)) $(ENGINE_OPTIONS)

batch: setup  ## run the experiments listed in a file, one per line as KEY=VALUE (LIST=experiments.txt)
	python -m tools.batch "$(or $(LIST),$(error give a file with one experiment per line as KEY=VALUE, LIST=...))" \
		$(if $(TARGETS),--targets $(TARGETS)) $(ENGINE_OPTIONS)

reference: setup  ## run the student report's setup without its mistakes: metrics/reference
	python -m tools.reference

readme: setup  ## update README.md and the documentation from the last run and the code
	python -m tools.readme

report: setup  ## write all tables, figures and costs of the last run as one page: report/index.html
	python -m tools.report

docs: setup docs/libraries/node_modules/.package-lock.json  ## build the documentation: site/index.html
	python -m sphinx --fail-on-warning --keep-going --nitpicky --quiet --builder html --doctree-dir .docs_cache docs site

docs/libraries/node_modules/.package-lock.json: docs/libraries/package-lock.json | setup
	npm ci --prefix docs/libraries --ignore-scripts --prefer-offline --no-audit --no-fund
	touch $@

plots: setup  ## draw all plots as one page, dvc_plots/index.html
	dvc plots show

lock: setup  ## resolve pyproject.toml again into requirements.lock
	pip-compile --quiet --extra dev --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file requirements.lock pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.lock  # any build of this version will do

benchmark-reduction: data  ## time neighbours, kNN and Isomap against their peers (minutes)
	python -m benchmarks.reduction

benchmark-startup: setup  ## time how long each stage takes to start, against importing every large package (a minute or two)
	python -m benchmarks.startup

benchmark-pipeline: setup  ## time the whole pipeline of an older commit and of this one, or some TARGETS, stage by stage (hours)
	python -m benchmarks.pipeline $(if $(BASELINE),--baseline $(BASELINE)) $(if $(TARGETS),--targets $(TARGETS))

benchmark-recipes: setup  ## compare losses over time by the recipes before Muon and now, on the data of the last run (half an hour)
	python -m benchmarks.recipes

benchmark-reading: setup  ## time reading a folder of 100,000 JPEGs, against Pillow alone (minutes)
	python -m benchmarks.reading

benchmark-optimizers: setup  ## time a step of Muon against torch's (a minute)
	python -m benchmarks.optimizers

benchmark-load: setup  ## time a training alone and beside busy processes (a minute)
	python -m benchmarks.load

benchmark-scale: setup data  ## time the stages on N images (default: 1,000,000) and on 60,000 (long; about 4 KB of disk per image)
	python -m benchmarks.scale --sizes 60000 $(or $(N),1000000)

benchmark-side-by-side: setup  ## time stages and experiments side by side, JOBS of them, against one by one (half an hour; ENGINE=slurm)
	python -m benchmarks.side_by_side $(if $(JOBS),--jobs $(JOBS)) $(if $(ENGINE),--engine $(ENGINE)) $(if $(SET),--set $(SET))

benchmark-explorer: browser  ## time the explorer's map and its decoding in a browser (a minute)
	python -m benchmarks.explorer

benchmark-training: data $(PEERS)/installed  ## time training against Keras, which is installed into .venv-peers (minutes)
	python -m benchmarks.training --peer $(PEERS)/bin/python

benchmark-binarized: data  ## compare the VAE with published likelihoods of black and white images (a quarter of an hour)
	python -m benchmarks.binarized

benchmark-diffusion: data  ## time diffusion against diffusers, on the models of the last run (half an hour)
	python -m benchmarks.diffusion

$(PEERS)/installed: pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check $(call EXTRA,peers)
	touch $@

plots-page: setup  ## rewrite the template of the plots page
	python -m tools.plots_page

clean:  ## remove the virtual environment, built pages, sketches and tool caches (results and DVC's cache stay)
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache dvc_plots compare report quick scale side_by_side site .docs_cache docs/libraries/node_modules
