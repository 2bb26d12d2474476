# Weighbridge. `make help` lists what can be made.
# A missing prerequisite is told in one sentence and exit code 3 (make itself then says "Error 3").

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help demo test soak bench lint format lock setup setup-dev clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: ## make .venv with what Weighbridge needs to run, and fetch Kafka
	@sh deploy/setup.sh run

setup-dev: ## setup, and what tests and checks need
	@sh deploy/setup.sh dev

demo: setup ## replay a real trace through a real Kafka, with kills and an outage, then audit (ARGS=...)
	@$(BIN)/weighbridge demo $(ARGS)

test: setup-dev ## prove the promises: every test but the long fault matrix (ARGS=...)
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

soak: setup-dev ## new examples for the properties, then the long fault matrix (SOAK_RUNS=20), with its table
	@HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -n 2 --dist loadfile tests/core tests/records
	@$(BIN)/python -m pytest -m soak -s $(ARGS)

bench: setup-dev ## measure; one JSON object a line, then a table on standard error (ARGS=...)
	@$(BIN)/python -m broker.bench $(ARGS)

lint: setup-dev ## ruff, mypy, and the arrows between rooms
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup-dev ## let ruff format the tree
	@$(BIN)/ruff format .

lock: setup-dev ## resolve the lock files anew from pyproject.toml (needs the network)
	@sh deploy/lock.sh

clean: ## remove .venv and caches; Kafka's jars and data stay in the user's data folder
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find broker workers tests -name __pycache__ -type d -prune -exec rm -rf {} +
