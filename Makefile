# `make repro` runs the whole pipeline, `make test` every check; each sets up what it needs. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
ACCEPTED_HOLES := CVE-2025-69872  # docs/guarantees.md explains each
# DVC starts the stages with the `python` that it finds first.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup data repro test test-faults verify audit lint types lock experiments seeds sweep-beta reference readme plots \
	plots-page benchmark-reduction benchmark-training benchmark-binarized \
	benchmark-diffusion clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: setup  ## check params.yaml, then run every stage that is out of date
	python -m latentbench.params.file
	dvc repro

test: setup data lint types  ## lint, types and tests, WORKERS of them at a time, 2 by default
	OMP_NUM_THREADS=1 python -m pytest -n $(or $(WORKERS),2) --dist loadfile

test-faults: setup data  ## the long tests of docs/guarantees.md, WORKERS at a time (under half an hour)
	OMP_NUM_THREADS=1 python -m pytest -n $(or $(WORKERS),2) --dist worksteal -m faults

verify: setup  ## read all of DVC's cache, and name each file in it that has changed
	python -m tools.verify

audit: setup  ## look the locked packages up among the known holes; fails where it cannot (needs the network)
	pip-audit --strict --disable-pip --no-deps --progress-spinner off --requirement requirements.lock \
		$(ACCEPTED_HOLES:%=--ignore-vuln %)
	$(if $(wildcard explorer/libraries/package-lock.json),npm audit --prefix explorer/libraries --package-lock-only)

setup: $(VENV)/installed  ## create the virtual environment with the locked versions

$(VENV)/installed: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "latentbench needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

data: setup  ## fetch the dataset
	dvc repro --quiet download

lint: setup
	ruff check .
	ruff format --check .

types: setup
	mypy

experiments: setup  ## list the experiments: the params and headline numbers that differ
	dvc exp show --only-changed --no-pager --drop '^(data|stages|latentbench)/|metrics\.json|^(Created|State|Executor)$$'

seeds: setup  ## the comparison over N seeds, 5 by default: metrics/seeds (a training of everything for each)
	python -m tools.seeds --n $(or $(N),5)

sweep-beta: setup  ## a VAE over BETAS, PRESET=dense by default: metrics/sweeps (a training of the VAE for each)
	python -m tools.sweep_beta --preset $(or $(PRESET),dense) $(if $(BETAS),--betas $(BETAS))

reference: setup  ## the report's own figures and recipes, made right: metrics/reference
	python -m tools.reference

readme: setup  ## put the tables of the last run into README.md
	python -m tools.readme

plots: setup  ## draw all plots as one page, dvc_plots/index.html
	dvc plots show

lock: setup  ## resolve pyproject.toml anew into requirements.lock
	pip-compile --quiet --extra dev --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file requirements.lock pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.lock  # any build of this version will do

benchmark-reduction: data  ## time neighbours, kNN and Isomap against their peers (minutes)
	python -m benchmarks.reduction

benchmark-training: data $(PEERS)/installed  ## time training against Keras, which comes into .venv-peers (minutes)
	python -m benchmarks.training --peer $(PEERS)/bin/python

benchmark-binarized: data  ## compare the VAE with published likelihoods of black and white images (hours)
	python -m benchmarks.binarized

benchmark-diffusion: data  ## time diffusion against diffusers, on the models of the last run (half an hour)
	python -m benchmarks.diffusion

# The extra alone, without the project's own dependencies, and its versions from where they are declared.
$(PEERS)/installed: pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check $$($(PYTHON) -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["peers"])')
	touch $@

plots-page: setup  ## write the template of the page of plots anew
	python -m tools.make_plots_page

clean:  ## remove the virtual environment and the caches of the tools (results and DVC's cache stay)
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache dvc_plots
