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
# What does not wait for one another is done side by side.
MAKEFLAGS += --jobs=2
# A stage is a process of its own: without bytecode on disk, each would compile torch and scikit-learn anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE
# DVC starts the stages with the `python` that it finds first.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup data browser repro quick dataset explore test test-faults verify audit lint types lock experiments seeds sweep batch compare reference readme report docs plots \
	plots-page benchmark-reduction benchmark-training benchmark-binarized \
	benchmark-diffusion benchmark-explorer benchmark-startup benchmark-load benchmark-pipeline benchmark-recipes benchmark-reading benchmark-scale clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: setup  ## check params.yaml, then run every stage that is out of date, JOBS of them side by side
	python -m latentbench.params.file
	python -m tools.repro $(if $(JOBS),--jobs $(JOBS))

test: browser lint types  ## lint, types and tests, WORKERS of them at a time, 2 by default
	OMP_NUM_THREADS=1 python -m pytest -n $(or $(WORKERS),2) --dist worksteal

test-faults: setup data  ## the long tests of docs/guarantees.md, WORKERS at a time (an hour or more)
	OMP_NUM_THREADS=1 python -m pytest -n $(or $(WORKERS),2) --dist worksteal -m faults

verify: setup  ## read all of DVC's cache, and name each file in it that has changed
	python -m tools.verify

audit: setup  ## check the locked packages for known vulnerabilities (needs the network)
	pip-audit --strict --disable-pip --no-deps --progress-spinner off --requirement requirements.lock \
		$(ACCEPTED_HOLES:%=--ignore-vuln %)
	$(if $(wildcard explorer/libraries/package-lock.json),npm audit --prefix explorer/libraries --package-lock-only)
	npm audit --prefix docs/libraries --package-lock-only

setup: $(VENV)/installed  ## create the virtual environment with the locked versions

# --no-compile: Python compiles what is imported when it is, and most of what is installed never is.
$(VENV)/installed: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "latentbench needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -r requirements.lock
	command -v npm >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check $(call EXTRA,node)
	touch $@

data: setup  ## fetch the dataset, and the libraries of the explorer's page
	dvc repro --quiet download explorer_libraries

# After the data: apt-get, which may fetch that too, works for one at a time.
browser: data  ## install Chromium for the explorer's tests, if it is missing and you are root
	command -v chromium >/dev/null || test $$(id -u) != 0 || ! command -v apt-get >/dev/null || \
		apt-get install --quiet --quiet --yes --no-install-recommends chromium >/dev/null || \
		{ apt-get update --quiet --quiet && \
		apt-get install --quiet --quiet --yes --no-install-recommends chromium >/dev/null; }

# A dataset that SET names is fetched by the sketch itself.
quick: setup  ## a sketch of the whole comparison in minutes, from few images: quick/report/index.html (SET="latent_dim=16")
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

experiments: setup  ## list the experiments: the params and headline numbers that differ
	dvc exp show --only-changed --no-pager --drop '^(data|stages|latentbench)/|^(Created|State|Executor)$$'

seeds: setup  ## the comparison over N seeds, 5 by default, with other params by SET: metrics/seeds (a training of everything for each)
	python -m tools.seeds --n $(or $(N),5) $(if $(SET),--set $(SET)) $(ENGINE_OPTIONS)

compare: setup  ## experiments or commits A and B: each difference with its interval, compare/ (A=main B=<name>)
	python -m tools.compare $(or $(A),$(error give two experiments or commits, A=... and B=...)) \
		$(or $(B),$(error give two experiments or commits, A=... and B=...))

sweep: setup  ## a GRID of params, or a SEARCH of TRIALS runs: metrics/sweeps (default: beta of the dense VAE)
	python -m tools.sweep $(if $(GRID),--grid $(GRID)) $(if $(SEARCH),--search $(SEARCH)) $(if $(TRIALS),--trials $(TRIALS)) $(if $(SCORE),--score $(SCORE)) $(ENGINE_OPTIONS)

batch: setup  ## the experiments in a file, a line of KEY=VALUE for each (LIST=experiments.txt)
	python -m tools.batch "$(or $(LIST),$(error give a file with a line of KEY=VALUE for each experiment, LIST=...))" \
		$(if $(TARGETS),--targets $(TARGETS)) $(ENGINE_OPTIONS)

reference: setup  ## the student report's setup without its mistakes: metrics/reference
	python -m tools.reference

readme: setup  ## put what the last run and the code say into README.md and the documentation
	python -m tools.readme

report: setup  ## all tables and figures of the last run, and its costs, as one page: report/index.html
	python -m tools.report

docs: setup docs/libraries/node_modules/.package-lock.json  ## build the documentation: site/index.html
	python -m sphinx --fail-on-warning --keep-going --nitpicky --quiet --builder html --doctree-dir .docs_cache docs site

docs/libraries/node_modules/.package-lock.json: docs/libraries/package-lock.json | setup
	npm ci --prefix docs/libraries --ignore-scripts --prefer-offline --no-audit --no-fund
	touch $@

plots: setup  ## draw all plots as one page, dvc_plots/index.html
	dvc plots show

lock: setup  ## resolve pyproject.toml anew into requirements.lock
	pip-compile --quiet --extra dev --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file requirements.lock pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.lock  # any build of this version will do

benchmark-reduction: data  ## time neighbours, kNN and Isomap against their peers (minutes)
	python -m benchmarks.reduction

benchmark-startup: setup  ## time how fast each stage starts, against importing every large package (a minute or two)
	python -m benchmarks.startup

benchmark-pipeline: setup  ## time the whole pipeline of an older commit and of this one, stage by stage (hours)
	python -m benchmarks.pipeline $(if $(BASELINE),--baseline $(BASELINE))

benchmark-recipes: setup  ## losses over seconds, by the recipes before Muon and now, on the data of the last run (half an hour)
	python -m benchmarks.recipes

benchmark-reading: setup  ## time reading a folder of 100,000 JPEGs, against Pillow alone (some minutes)
	python -m benchmarks.reading

benchmark-load: setup  ## time a training alone and beside busy processes (a minute)
	python -m benchmarks.load

benchmark-scale: setup data  ## time the stages on N images, 1,000,000 by default, and on 60,000 (long; some 4 KB of disk for each image)
	python -m benchmarks.scale --sizes 60000 $(or $(N),1000000)

benchmark-explorer: browser  ## time the explorer's map and its decoding in a browser (a minute)
	python -m benchmarks.explorer

benchmark-training: data $(PEERS)/installed  ## time training against Keras, which comes into .venv-peers (minutes)
	python -m benchmarks.training --peer $(PEERS)/bin/python

benchmark-binarized: data  ## compare the VAE with published likelihoods of black and white images (hours)
	python -m benchmarks.binarized

benchmark-diffusion: data  ## time diffusion against diffusers, on the models of the last run (half an hour)
	python -m benchmarks.diffusion

$(PEERS)/installed: pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check $(call EXTRA,peers)
	touch $@

plots-page: setup  ## write the template of the page of plots anew
	python -m tools.plots_page

clean:  ## remove the virtual environment, pages and sketches, and the caches of the tools (results and DVC's cache stay)
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache dvc_plots compare report quick scale site .docs_cache docs/libraries/node_modules
