SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help setup repro cifar10 test lint lock

help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Make .venv and install the locked packages

$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(f"error: Python {v[0]}.{v[1]} found; Python 3.11 to 3.13 is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	@touch $@

repro: $(READY)  ## Run the pipeline (dvc repro) and show the ranking
	dvc repro
	@echo && cat reports/ranking.md

cifar10: $(READY)  ## Run the real study: CIFAR-10, ImageNet weights (downloads both)
	dvc exp run -S data.source=cifar10 -S prepare.validation_fraction=0.1 \
	  -S models.cnn2.epochs=20 -S models.cnn2.batch_size=128 \
	  -S models.cnn2_dropout.epochs=20 -S models.cnn2_dropout.batch_size=128 \
	  -S models.cnn3_dropout.epochs=20 -S models.cnn3_dropout.batch_size=128 \
	  -S models.cnn3_plateau.epochs=20 -S models.cnn3_plateau.batch_size=128 \
	  -S models.resnet50.weights=imagenet -S models.resnet50.image_size=160 -S models.resnet50.batch_size=32 \
	  -S models.resnet50.epochs=3 -S models.resnet50.learning_rate=0.0001 \
	  -S models.resnet101.weights=imagenet -S models.resnet101.image_size=160 -S models.resnet101.batch_size=32 \
	  -S models.resnet101.epochs=3 -S models.resnet101.learning_rate=0.0001

test: $(READY)  ## Run the tests
	python -m pytest

lint: $(READY)  ## Check style and format
	ruff check . && ruff format --check .

lock:  ## Renew requirements.txt from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-emit-index-url \
	  --python-version 3.11 --custom-compile-command "make lock" --output-file requirements.txt
