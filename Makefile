# `make serve` and `make test` set up what they need, once, in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Most tests wait; those of the abuse suite measure, each with the machine for itself.
PARALLEL := -m "not abuse" --numprocesses auto --maxprocesses 4

.PHONY: serve test cover lint types abuse bench clean

serve: $(VENV)/.installed
	@$(BIN)/hubbub serve

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PARALLEL)
	$(BIN)/python -m pytest -m abuse

cover: $(VENV)/.installed-dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PARALLEL)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# All of what the tests do in short: it takes 50 minutes.
abuse: $(VENV)/.installed-dev
	HUBBUB_ABUSE_FULL=1 $(BIN)/python -m pytest -m abuse --timeout 3600

# BENCH="--scenario fan-out --peer NATS --peer hubbub": see BENCH=--help
bench: $(VENV)/.installed-dev
	$(BIN)/python -m bench $(BENCH)

clean:
	rm -rf $(VENV)

# A file stands for what was installed, so that the next call has nothing to do.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@
