# Everything a newcomer needs: `make demo` and `make test` each set up what they use, from nothing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0
READY := $(VENV)/.ready
DEMO ?= demo
# Small networks run on one thread: two busy threads on shared cores wait for one another.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: setup demo test test-quick lint format type bench bench-drawing bench-catalog bench-shortlist pocket-train pocket-report clean

setup: $(READY)

# torch goes first and alone, so that pip takes a local CPU wheel where there is one. A new venv may come with a pip that
# is too old for `--group`.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --progress-bar off "$(TORCH)"
	$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt --group dev -e ".[local,finetune,vllm]"
	touch $(READY)

demo: setup
	$(BIN)/python -m examples.demo --out $(DEMO)

test: setup
	$(BIN)/python -m pytest -q

test-quick: setup
	$(BIN)/python -m pytest -q -m "not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: setup
	$(BIN)/mypy

bench: bench-drawing bench-catalog

bench-drawing: setup
	$(BIN)/python -m diffagent_tools.benchmarks

bench-catalog: setup
	$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt --group bench
	$(BIN)/python -m diffagent_tools.benchmarks.catalog

# Needs real pairs, which are not part of the repository: DIFFAGENT_SHARED names their folder.
bench-shortlist: setup
	$(BIN)/python -m diffagent_tools.benchmarks.shortlist

pocket-train: setup
	$(BIN)/python -m finetune.pocket.train --out pocket-training --install

pocket-report: setup
	$(BIN)/python -m finetune.pocket.report

clean:
	rm -rf $(VENV) $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
