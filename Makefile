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

unit: setup
	$(BIN)/python -m pytest

# What the gate costs, beside sha256sum of the same files: a minute on a quiet machine.
bench: setup
	@$(BIN)/python -m benchmarks.check

clean:
	rm -rf build .venv .mypy_cache .ruff_cache
