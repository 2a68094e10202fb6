# The commands of the project. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup run test check format soak bench docs lock new-service conformance clean

DATA ?= var/demo
PORT ?=
MQTT_PORT ?=
ARGS ?=
STORE ?=
export PYTHON

help: ## List these commands.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: ## Create .venv, build the console, install what the tests need. Again: seconds.
	@scripts/setup.sh all

run: ## Run the sample city (data in var/demo); prints the address and the log-in. PORT=, MQTT_PORT=, DATA=
	@scripts/setup.sh run
	@mkdir -p $(DATA)
	@exec .venv/bin/madang demo --data $(DATA) $(if $(PORT),--port $(PORT)) $(if $(MQTT_PORT),--mqtt-port $(MQTT_PORT)) $(ARGS)

test: ## Run everything that must hold (minutes). ARGS= goes to pytest.
	@scripts/setup.sh all
	@scripts/test.sh $(ARGS)

check: ## What can be known in seconds: format, lint, types, imports, tidiness, generated pages.
	@scripts/setup.sh python
	@scripts/check.sh

format: ## Format the Python code.
	@scripts/setup.sh python
	@.venv/bin/ruff check --quiet --fix-only . ; .venv/bin/ruff format .

soak: ## The long fault runs: some 240 kills, half an hour and more. ARGS="--soak-result FILE" keeps the summary
	@scripts/setup.sh all
	@.venv/bin/python -m pytest -q -m soak $(ARGS)

bench: ## The benchmark ingest.mqtt.manure (the others: benchmarks/README.md). ARGS=--help lists its options
	@scripts/setup.sh run
	@.venv/bin/python -m benchmarks.ingest_mqtt_manure $(ARGS)

docs: ## Rewrite the generated pages under docs/generated.
	@scripts/setup.sh python
	@.venv/bin/python scripts/docs.py

lock: ## Pin the requirements again after a change of pyproject.toml. ARGS=--upgrade for newer versions
	@scripts/lock.sh $(ARGS)

new-service: ## Write the folder of a new sector and its first passing tests. NAME=
	@scripts/setup.sh python
	@.venv/bin/python scripts/new_service.py "$(NAME)"

conformance: ## Run the official NGSI-LD suite on each store, write docs/conformance.md. ETSI_SUITE=checkout, STORE=sqlite|postgres, ARGS=folders for a part
	@scripts/setup.sh run
	@test -n "$(ETSI_SUITE)" || { echo "name a checkout of the suite: make conformance ETSI_SUITE=path" >&2; exit 2; }
	@.venv/bin/python scripts/conformance.py --suite "$(ETSI_SUITE)" $(if $(STORE),--store $(STORE)) $(ARGS)

clean: ## Remove what builds left here, and the data of the sample city in var/demo.
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build var/demo madang/console_dist console/node_modules console/dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
