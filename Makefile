# make demo   install everything into .venv, fit the bundled study, open the dashboard   (ARGS="--no-app" stops before it)
# make test   install everything into .venv, run the tests                               (ARGS="-m 'not slow'" is the fast lane)

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN = $(VENV)/bin
ARGS ?=
PIP = $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

.PHONY: venv demo test check bench clean

venv: $(VENV)/.installed

# torch comes first and pinned: left to itself pip may pick a build with gigabytes of GPU libraries.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --quiet torch==2.13.0
	$(PIP) --quiet --editable '.[test]'
	touch $@

$(VENV)/.checkers: $(VENV)/.installed
	$(PIP) --quiet --editable '.[dev]'
	touch $@

demo: venv
	$(BIN)/nme demo $(ARGS)

test: venv
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.checkers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

bench: venv
	@for name in $(notdir $(basename $(wildcard benchmarks/peers/[a-z]*.py))); do $(BIN)/python -m benchmarks.peers.$$name || exit 1; done

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
