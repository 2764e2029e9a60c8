# Everything runs in .venv, which is made once and again only when pyproject.toml
# or constraints.txt changes. After that nothing here needs the network.

PYTHON ?= python3
RUN := .venv/bin/python -m
INSTALLED := .venv/installed
DOCS_INSTALLED := .venv/docs-installed

.DEFAULT_GOAL := help
.PHONY: help compare test far docs lint types format clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s%s\n", $$1, $$2}' Makefile

compare: $(INSTALLED)  ## Compare PCA, an autoencoder and a VAE on the digits
	$(RUN) skae compare digits --n-components 2 8 16

test: $(INSTALLED)  ## Run the tests and the docstring examples
	OMP_NUM_THREADS=1 $(RUN) pytest --numprocesses 2 --dist worksteal

far: $(INSTALLED)  ## Test on a device that refuses what a GPU refuses (C++)
	OMP_NUM_THREADS=1 $(RUN) pytest --numprocesses 2 -p tests.far tests/test_on_a_device.py

docs: $(DOCS_INSTALLED)  ## Build the documentation into docs/_build/html
	MPLBACKEND=agg $(RUN) sphinx -b html -d docs/_build/doctrees -W --keep-going docs docs/_build/html

lint: $(INSTALLED)  ## Check style and formatting
	$(RUN) ruff check
	$(RUN) ruff format --check

types: $(INSTALLED)  ## Check types
	$(RUN) mypy

format: $(INSTALLED)  ## Mend style and formatting where a machine can
	$(RUN) ruff check --fix
	$(RUN) ruff format

clean:  ## Remove what make made, .venv included
	rm -rf .venv build dist skae.egg-info
	rm -rf docs/_build docs/generated docs/auto_examples docs/sg_execution_times.rst
	rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(RUN) pip install --editable ".[dev]" --constraint constraints.txt
	touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	$(RUN) pip install --editable ".[docs]" --constraint constraints.txt
	touch $@
