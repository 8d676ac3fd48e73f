# Every target does its own set-up: nothing else has to be typed on a fresh machine.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run demo test test-long lint bench docs lock clean

run: $(VENV)/.runtime
	@exec $(BIN)/cordboard serve --demo

demo: $(VENV)/.runtime
	@$(BIN)/cordboard demo

test: $(VENV)/.development
	@scripts/setup-programs required
	$(BIN)/python -m pytest -m "not long" --durations=15

test-long: $(VENV)/.development
	@scripts/setup-programs required
	CORDBOARD_TEST_PROFILE=searching $(BIN)/python -m pytest -m long -s

lint: $(VENV)/.development
	$(BIN)/ruff format --check src tests benchmarks scripts
	$(BIN)/ruff check src tests benchmarks scripts
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_rfc.py

bench: $(VENV)/.development
	@scripts/setup-programs wanted
	@mkdir -p var
	$(BIN)/python -m benchmarks

docs: $(VENV)/.docs
	$(BIN)/python scripts/generate_reference.py
	$(BIN)/mkdocs build --strict

# The lock file is made from pyproject.toml by pip-tools; `make lock` renews it.
lock: $(VENV)/.development
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --no-annotate --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --extra dev --extra docs --output-file requirements.lock pyproject.toml

$(VENV)/.created:
	@scripts/create-venv "$(PYTHON)" $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.created pyproject.toml requirements.lock
	@echo "Installing Cordboard into $(VENV) (once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e .
	@touch $@

$(VENV)/.development: $(VENV)/.created pyproject.toml requirements.lock
	@echo "Installing Cordboard and its development tools into $(VENV) (once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[dev]"
	@touch $(VENV)/.runtime $@

$(VENV)/.docs: $(VENV)/.development
	@$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[docs]"
	@touch $@

clean:
	rm -rf $(VENV) build site src/*.egg-info

-include media.mk
