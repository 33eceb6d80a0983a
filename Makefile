# The task list of Atelier: `make help` prints it.
PYTHON ?= python3
UV := .venv/bin/uv
, := ,
# On PyPI torch is the CUDA build. Without a folder of wheels (PIP_FIND_LINKS) the CPU build is asked for first, unless
# UV_TORCH_BACKEND says otherwise; where its index cannot be reached, PyPI's must do.
ifdef PIP_FIND_LINKS
install = $(UV) pip install -q --find-links "$(PIP_FIND_LINKS)" $(1)
else
install = UV_TORCH_BACKEND=$${UV_TORCH_BACKEND:-cpu} $(UV) pip install -q $(1) || $(UV) pip install -q $(1)
endif

.DEFAULT_GOAL := help
.PHONY: help setup engine demo up test bench lint clean

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

.venv/bin/uv:
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q uv==0.13.9

.venv/.suite: pyproject.toml constraints.txt | .venv/bin/uv
	$(call install,--python .venv/bin/python -e '.[models$(,)local$(,)demo$(,)docs$(,)dev]' -c constraints.txt)
	@touch $@

.venv-engine/.engine: requirements-engine.txt | .venv/bin/uv
	$(PYTHON) -m venv .venv-engine
	$(call install,--no-deps --python .venv-engine/bin/python -r requirements-engine.txt)
	@touch $@

setup: .venv/.suite ## Make the suite's virtual environment (once; again when a pin changes)

engine: .venv-engine/.engine ## Make vLLM's own virtual environment (CPU build)

demo: setup engine ## A real grocer's year becomes one checked offer a household; ARGS=--once stops afterwards
	.venv/bin/atelier demo $(ARGS)

up: setup engine ## Serve on loopback until stopped (Ctrl-C)
	.venv/bin/atelier up

test: setup engine ## Run every test; the servers they need are started by the tests
	.venv/bin/python -m pytest

.venv-peers/.peers: benchmarks/requirements-peers.txt | .venv/bin/uv
	$(PYTHON) -m venv .venv-peers
	$(call install,--python .venv-peers/bin/python -r benchmarks/requirements-peers.txt -c constraints.txt)
	@touch $@

bench: setup engine .venv-peers/.peers ## Measure, each beside its peer; ARGS="search embedding" for some; JSON in benchmarks/results
	.venv/bin/python -m benchmarks $(ARGS)

lint: setup ## Style, types and import rules
	.venv/bin/ruff format --check services shared tests benchmarks
	.venv/bin/ruff check services shared tests benchmarks
	.venv/bin/mypy
	.venv/bin/lint-imports

clean: ## Remove both virtual environments and all data
	rm -rf .venv .venv-engine .venv-peers .atelier
