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

# Where Python may not keep what it compiled, every process compiles torch and vLLM anew: half a minute each.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup engine demo up test evals models bench lint clean

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

.venv/bin/uv:
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q uv==0.13.9

.venv/.suite: pyproject.toml constraints.txt | .venv/bin/uv
	$(call install,--python .venv/bin/python -e '.[models$(,)trees$(,)train$(,)lora$(,)eval$(,)local$(,)demo$(,)docs$(,)kafka$(,)spark$(,)dev]' -c constraints.txt)
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
	MALLOC_ARENA_MAX=2 .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

evals: setup ## Run evaluation suites over the functions that serve, held to their gates; ARGS=grounding for one
	.venv/bin/python -m evals $(or $(ARGS),fast) --gate

# Without our constraints: a peer may need older versions than we do.
.venv-peers/.peers: benchmarks/requirements-peers.txt | .venv/bin/uv
	$(PYTHON) -m venv .venv-peers
	$(call install,--python .venv-peers/bin/python -r benchmarks/requirements-peers.txt)
	@touch $@

models: setup ## Train every pipeline of models twice: pinned data, gates, the same files both times (build/models)
	@set -e; for file in services/training/definitions/*.yaml; do name=$$(basename $$file .yaml); \
	  for turn in one two; do .venv/bin/atelier train --pipeline $$file --out build/models/$$name/$$turn; done; \
	  diff -r -x 'card.*' build/models/$$name/one build/models/$$name/two; done

bench: setup engine .venv-peers/.peers ## Measure, each beside its peer; ARGS="search embedding" for some; JSON in benchmarks/results
	.venv/bin/python -m benchmarks $(ARGS)

lint: setup ## Style, types and import rules
	.venv/bin/ruff format --check services shared evals tests benchmarks
	.venv/bin/ruff check services shared evals tests benchmarks
	.venv/bin/mypy
	.venv/bin/lint-imports

clean: ## Remove both virtual environments and all data
	rm -rf .venv .venv-engine .venv-peers .atelier
