SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help setup repro cifar10 test verify bench bench-cost bench-transfer bench-tuning lint lock

help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Make .venv and install the locked packages

$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(f"error: Python {v[0]}.{v[1]} found; Python 3.11 to 3.13 is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	sed -n '/^setuptools==/,/^[a-z#]/{/^setuptools==/p;/--hash/p}' requirements.txt > $(VENV)/build.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/build.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation --requirement requirements.txt
	@touch $@

repro: $(READY)  ## Run the pipeline (dvc repro) and show the ranking
	dvc repro
	@echo && cat reports/ranking.md

cifar10: $(READY)  ## Run the real study: CIFAR-10, ImageNet weights (downloads both)
	dvc exp run -S data.source=cifar10 \
	  -S models.resnet50.weights=imagenet -S models.resnet50.image_size=160 \
	  -S models.resnet50.epochs=3 -S models.resnet50.learning_rate=0.0001 \
	  -S models.resnet101.weights=imagenet -S models.resnet101.image_size=160 \
	  -S models.resnet101.epochs=3 -S models.resnet101.learning_rate=0.0001 \
	  -S models.resnet101.batch_size=4

test: $(READY)  ## Run the tests
	python -m pytest

verify: $(READY)  ## Run the pipeline in two clones and compare every byte; with AGAINST=REF: one run, against REF's metrics
	python .ci/verify.py $(AGAINST)

bench: $(READY)  ## Measure cnn2 against the study's own loop; with DATA=own.npz: on those images
	python -m benchmarks.bench $(if $(DATA),--data "$(DATA)")

bench-cost: $(READY)  ## Measure seconds and memory of getting, training and scoring, and what twice the images cost; DATA as above
	python -m benchmarks.cost $(if $(DATA),--data "$(DATA)")

bench-transfer: $(READY)  ## Measure what pretrained weights gain, and the features kept of a frozen backbone; DATA=own.npz
	python -m benchmarks.transfer $(if $(DATA),--data "$(DATA)")

bench-tuning: $(READY)  ## Compare the search with the study's grid of nine, in epochs and in what they find; DATA as above
	python -m benchmarks.tuning $(if $(DATA),--data "$(DATA)")

lint: $(READY)  ## Check style and format
	ruff check . && ruff format --check .

lock:  ## Renew requirements.txt from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-emit-index-url \
	  --python-version 3.11 --custom-compile-command "make lock" --output-file requirements.txt
