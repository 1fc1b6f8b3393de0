SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
MADE := $(VENV)/.made
EXTRAS := $(VENV)/.extras
INSTALL := $(VENV)/bin/python .ci/install.py
COMPILE := uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-emit-index-url \
  --python-version 3.11 --custom-compile-command "make lock"
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
unexport PYTHONSAFEPATH  # with it Python looks for no module in the repository
PYTEST := python -m pytest -n 2 --dist worksteal

.PHONY: help setup extras repro plots cifar10 test test-quick test-long verify review lint lock walkthrough bench bench-cost bench-tuning

help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Make .venv and install the locked packages

$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(f"error: Python {v[0]}.{v[1]} found; Python 3.11 to 3.13 is needed: make PYTHON=python3.12 ...")'
	@test ! -L $(VENV) || { echo "error: $(VENV) is a link, whose folder would be emptied; remove the link" >&2; exit 1; }
	@test ! -e $(VENV) -o -e $(READY) -o -e $(MADE) || { echo "error: $(VENV) was not made by make, which would empty it; move it" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $(MADE)
	$(INSTALL) requirements.txt
	@touch $@

extras: $(EXTRAS)  ## Install the locked packages of all extras as well: plots, onnx, s3, cluster, and what their tests need

$(EXTRAS): $(READY) requirements-extras.txt
	$(INSTALL) requirements-extras.txt
	@touch $@

repro: $(READY)  ## Run the pipeline (dvc repro) and show the ranking
	dvc repro
	@echo && cat reports/ranking.md

plots: $(EXTRAS)  ## Draw all plots as a page that works offline, dvc_plots/index.html; with BASE=REF: with those of REF
	python -m study plots $(if $(BASE),"$(BASE)")

cifar10: $(READY)  ## Run the real study on CIFAR-10, as an experiment; DATA=own.npz: on those images
	python -m study use cifar10 $(if $(DATA),--data "$(DATA)")
	dvc exp run

test: $(EXTRAS)  ## Run all tests but the long ones
	$(PYTEST) -m 'not long'

test-quick: $(READY)  ## Run the tests that start no stage
	$(PYTEST) -m 'not slow and not long'

test-long: $(EXTRAS)  ## Run the long tests: many kills at random instants
	$(PYTEST) -m long

verify: $(READY)  ## Run the pipeline in two clones and compare every byte; AGAINST=REF: run it once and compare its scores with REF's
	python .ci/verify.py $(AGAINST)

review: $(READY)  ## Write review.md, which compares the working tree with BASE=REF (main); PLOTS=URL links plots
	python -m study review "$(or $(BASE),main)" $(if $(PLOTS),--plots "$(PLOTS)")

lint: $(READY)  ## Check style, format, import contracts, the deps of dvc.yaml and what pages say of the record
	ruff check . && ruff format --check .
	lint-imports --no-cache --no-logo
	python -m study deps
	python .ci/record.py

lock: $(READY)  ## Renew requirements.txt and requirements-extras.txt from pyproject.toml
	$(COMPILE) --group extras --all-extras --output-file requirements-extras.txt
	$(COMPILE) --constraint requirements-extras.txt --output-file requirements.txt

walkthrough: $(READY)  ## Run the commands of docs/tutorial.md in a clone of HEAD and write what they print into it
	python tests/walkthrough.py

bench: $(READY)  ## Measure cnn2 against the study's own loop; with DATA=own.npz: on those images
	python -m benchmarks.bench $(if $(DATA),--data "$(DATA)")

bench-cost: $(READY)  ## Measure seconds and memory of the stages; DATA as above
	python -m benchmarks.cost $(if $(DATA),--data "$(DATA)")

bench-tuning: $(READY)  ## Compare the search with the study's grid of nine, in processor time and in what they find; DATA as above
	python -m benchmarks.tuning $(if $(DATA),--data "$(DATA)")
