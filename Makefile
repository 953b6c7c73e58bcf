# Every target makes and uses .venv itself, so each one works first on a bare machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types bench notebooks clean

help: ## this text
	@echo "fedrec: a laboratory for federated recommendation. First: make demo"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv and install fedrec with everything its development needs

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else \
		"fedrec needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": try make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(INSTALLED) ## train FedRecGEL on FilmTrust, show a table and a picture (demo/filmtrust.png)
	$(BIN)/fedrec demo

test: $(INSTALLED) ## run the tests
	$(BIN)/python -m pytest

lint: $(INSTALLED) ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED) ## check the types
	$(BIN)/mypy

bench: $(INSTALLED) ## measure a round and an evaluation, print a table, write bench.json
	$(BIN)/python -m tests.benchmarks

notebooks: $(INSTALLED) ## execute the notebooks
	$(BIN)/python -m pytest --nbmake notebooks

clean: ## remove .venv and everything that was built, but no runs and no data
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
