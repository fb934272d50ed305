# `make demo` and `make test` are all the set-up there is: Python 3.11 or newer, and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: setup demo test lint types unit bench clean

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@echo "setting up .venv (a few minutes on the first run) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,hub,dev]'
	@touch $@

demo: setup
	@$(BIN)/python -m train.demo build/demo

test: lint types unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

# One process per core of a small machine, a file at a time: session fixtures train pairs. One thread
# each, because matrices this small wait for each other.
unit: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# What the gate costs, beside sha256sum of the same files: a minute on a quiet machine.
bench: setup
	@$(BIN)/python -m benchmarks.check

clean:
	rm -rf build .venv .mypy_cache .ruff_cache
