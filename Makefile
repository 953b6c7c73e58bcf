# Every target makes and uses .venv itself, so each one works first on a bare machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
SHELL := bash
.SHELLFLAGS := -o pipefail -c
# What pip does, on one line of a terminal; elsewhere a line now and then.
PROGRESS := awk -v terminal="$$(test -t 2 && echo yes)" ' \
	function say(text) { printf terminal ? "\r\033[K  %s" : "  %s\n", text; fflush() } \
	/^ *Collecting/ { if (++found % 20 == 1 || terminal) say(found " found: " $$2) } \
	/^ *Downloading/ && terminal { say(found " found: fetching " $$2 " " $$3 " " $$4) } \
	/^Installing/ { say(found " found: unpacking them, another minute or two") } \
	/^Successfully/ { say("done\n") }'
# Tests start hundreds of processes, each of which would compile the package again.
unexport PYTHONDONTWRITEBYTECODE
# Tests whose figures differ between processors by rounding, and by no more.
NUMERIC := tests/reference tests/client tests/server tests/models tests/test_replay.py

# Tests run in as many processes as there are cores, each with one thread; a file's tests mostly in one of them.
TESTS := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

# Data sets of the table of the published protocol.
PUBLISHED = $(if $(findstring --quick,$(RUNS)),filmtrust,filmtrust ml-100k lastfm-2k amazon-video)
# Methods that take minutes, not hours, where there are thousands of clients and items.
FAST := central-mf,central-ncf,fcf,fedavgm-mf,fedease,fedknn,fedmf,fedncf,fedrecgel,pfedrec

.DEFAULT_GOAL := help
.PHONY: help install demo test slow fuzz numerics lint types bench results table paper notebooks clean

help: ## this text
	@echo "fedrec: a laboratory for federated recommendation. First: make demo"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv and install fedrec with everything its development needs

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else \
		"fedrec needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": try make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing fedrec and what it needs into $(VENV): 2 to 6 minutes, most of it PyTorch."
	@$(BIN)/python -m pip install --progress-bar off -c constraints.txt -e '.[dev]' | $(PROGRESS)
	@touch $@

demo: $(INSTALLED) ## train FedRecGEL on FilmTrust, show a table and a picture (demo/filmtrust.png)
	$(BIN)/fedrec demo

test: $(INSTALLED) ## run the tests
	$(TESTS) -m "not slow"

slow: $(INSTALLED) ## run the tests that take long and are rarely needed: a kill at every moment, every flipped bit
	$(TESTS) -m slow

fuzz: $(INSTALLED) ## run 10,000 mutated files, configurations, sweeps, command lines and run folders
	$(BIN)/python -m tests.fuzz --cases 10000

numerics: $(INSTALLED) ## run the numeric tests again as two other processors would compute
	for kind in default avx2; do \
		echo "ATEN_CPU_CAPABILITY=$$kind"; \
		ATEN_CPU_CAPABILITY=$$kind $(TESTS) $(NUMERIC) || exit 1; \
	done

lint: $(INSTALLED) ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED) ## check the types
	$(BIN)/mypy

bench: $(INSTALLED) ## measure a round and an evaluation, print a table, write bench.json
	$(BIN)/python -m tests.benchmarks

results: $(INSTALLED) ## write README's tables from notebooks/results; FROM="methods/filmtrust ..." takes results over first
	$(BIN)/python -m tests.results $(FROM)

table: $(INSTALLED) ## every method on every data set, both protocols: hours, or minutes with RUNS="--quick --data.evaluate_users 500"; restartable
	$(BIN)/fedrec methods filmtrust --parallel 2 $(RUNS)
	$(BIN)/fedrec methods ml-100k --parallel 2 $(RUNS)
	$(BIN)/fedrec methods lastfm-2k --only $(FAST) --parallel 2 $(RUNS)
	$(BIN)/fedrec methods amazon-video --only $(FAST) --parallel 2 $(RUNS)
	for data in $(PUBLISHED); do \
		$(BIN)/fedrec methods $$data --protocol fedrecgel --only $(FAST) --parallel 2 $(RUNS) || exit 1; \
	done

paper: $(INSTALLED) ## replay what papers claim: hours, or minutes with RUNS=--quick; restartable
	$(BIN)/fedrec claims fedrecgel --parallel 2 $(RUNS)
	$(BIN)/fedrec claims leak --parallel 2 $(RUNS)
	$(BIN)/fedrec claims sam --parallel 2 $(RUNS)
	$(BIN)/fedrec claims accuracy --parallel 2 $(RUNS)
	$(BIN)/fedrec claims tuned --parallel 2 $(RUNS)
	$(BIN)/fedrec claims sam-tuned --parallel 2 $(RUNS)
	$(BIN)/fedrec claims amazon-video --parallel 2 $(RUNS)

notebooks: $(INSTALLED) ## execute the notebooks, on committed results and on small runs
	$(TESTS) --nbmake notebooks
	FEDREC_SMALL_RUNS=1 $(TESTS) --nbmake notebooks

clean: ## remove .venv and everything that was built, but no runs and no data
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
