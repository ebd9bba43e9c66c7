# Every command sets up what it needs first. Without make: python3 scripts/bootstrap.py COMMAND

PYTHON ?= python3
BOOTSTRAP := $(PYTHON) scripts/bootstrap.py
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run ui test check fix types test-all sim bench docs lock hooks ci clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## install everything a developer needs into .venv
	@$(BOOTSTRAP) setup

run: ## review this project's source with the example workflow; writes report.md and report.json
	@$(BOOTSTRAP) run $(ARGS)

ui: ## build the web interface into the package (needs Node 20.19 or newer)
	@$(BOOTSTRAP) ui

test: ## run all tests (ARGS="-k lease" goes to pytest)
	@$(BOOTSTRAP) test $(ARGS)

check: ## lint, format, types and import contracts
	@$(BOOTSTRAP) check

fix: ## repair what the linter and the formatter can
	@$(BOOTSTRAP) fix

types: ## the second type checker, as editors run it (needs node)
	@$(BOOTSTRAP) exec pyright

test-all: ## the tests on every Python found, from the built wheel, at both ends of the version bounds
	@$(BOOTSTRAP) exec nox $(ARGS)

sim: ## replay one simulated history: make sim SEED=4711
	@PODIUM_SIM_SEED=$(SEED) $(BOOTSTRAP) exec python -m pytest -q -p no:randomly tests/simulation $(ARGS)

bench: ## measure the workloads beside the disk's own speed
	@$(BOOTSTRAP) exec podium bench $(ARGS)

docs: ## check that the documentation matches the code
	@$(BOOTSTRAP) exec python -m pytest -q tests/test_docs.py $(ARGS)

lock: ## resolve requirements/*.txt anew (ARGS=--upgrade for the newest versions)
	@$(BOOTSTRAP) exec python scripts/lock.py $(ARGS)

hooks: ## run the fast fixers before each commit
	@$(BOOTSTRAP) exec prek install

ci: ## what the integration server runs, exactly
	@.ci/run

clean: ## remove the environment and all caches
	rm -rf .venv .tools .nox .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
