# The task list of Atelier: `make help` prints it.
PYTHON ?= python3
UV := .venv/bin/uv
FIND_LINKS = $(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)")

.DEFAULT_GOAL := help
.PHONY: help setup engine demo up test bench lint clean

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

.venv/bin/uv:
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q uv==0.13.9

.venv/.suite: pyproject.toml constraints.txt | .venv/bin/uv
	$(UV) pip install -q --python .venv/bin/python $(FIND_LINKS) -e '.[models,local,demo,docs,dev]' -c constraints.txt
	@touch $@

.venv-engine/.engine: requirements-engine.txt | .venv/bin/uv
	$(PYTHON) -m venv .venv-engine
	$(UV) pip install -q --no-deps --python .venv-engine/bin/python $(FIND_LINKS) -r requirements-engine.txt
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
	$(UV) pip install -q --python .venv-peers/bin/python $(FIND_LINKS) -r benchmarks/requirements-peers.txt -c constraints.txt
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
