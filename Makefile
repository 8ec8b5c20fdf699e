# `make repro` runs the whole pipeline, `make test` every check; each sets up what it needs. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# DVC starts the stages with the `python` that it finds first.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup data repro test lint types lock experiments plots plots-page benchmark-reduction clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: setup  ## check params.yaml, then run every stage that is out of date
	python -m latentbench.params.file
	dvc repro

test: setup data lint types  ## lint, types and tests
	python -m pytest

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

plots: setup  ## draw all plots as one page, dvc_plots/index.html
	dvc plots show

lock: setup  ## resolve pyproject.toml anew into requirements.lock
	pip-compile --quiet --extra dev --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file requirements.lock pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+.*/\1/' requirements.lock  # any build of this version will do

benchmark-reduction: data  ## time neighbours, kNN and Isomap against their peers (minutes)
	python -m benchmarks.reduction

plots-page: setup  ## write the template of the page of plots anew
	python -m tools.make_plots_page

clean:  ## remove the virtual environment and the caches of the tools (results and DVC's cache stay)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache dvc_plots
