# `make serve` and `make test` set up what they need, once, in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# LONG=1 runs each async test on every kind of event loop, and the tests marked `long` too.
PYTEST = -m pytest $(if $(LONG),--long --every-loop)

# Most tests wait, so four run at once even on two processors; but some of the long ones measure.
PARALLEL = -m "not quiet" --maxprocesses 4 --numprocesses $(if $(LONG),auto,4)

# Containers often forbid Python to keep bytecode. The tests start hundreds of Pythons, and each would compile hubbub.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve test test-parallel test-quiet cover lint prose types docs abuse bench mutation recording man dist clean
# Some tests measure: nothing else may run meanwhile.
.NOTPARALLEL:

serve: $(VENV)/.installed
	@$(BIN)/hubbub serve

# The second part runs even if the first one fails.
test:
	@$(MAKE) --no-print-directory --keep-going test-parallel test-quiet

test-parallel: $(VENV)/.installed-dev
	$(BIN)/python $(PYTEST) $(PARALLEL)

test-quiet: $(VENV)/.installed-dev
	$(BIN)/python $(PYTEST) -m quiet

cover abuse: LONG := 1

# Another kind of loop reaches no other lines.
cover: PYTEST = -m pytest --long

cover: $(VENV)/.installed-dev
	$(BIN)/coverage erase
	$(BIN)/coverage run $(PYTEST) $(PARALLEL)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: $(VENV)/.installed-dev prose
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# Whether the pages are in plain English. PAGES=docs/deploy.md: one of them
prose: $(VENV)/.installed-dev
	$(BIN)/python -m prose $(PAGES)

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# The docs as a site, in site/. What the reference has from the code is written first. It fails at a broken link or anchor,
# and at a public name, an option or a setting without a text.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m docsite
	@# With --quiet, mkdocs counts no warnings, and --strict would mean nothing.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "The docs are in site/index.html."

# All of what the tests do in short: it takes 50 minutes.
abuse: $(VENV)/.installed-dev
	HUBBUB_ABUSE_FULL=1 $(BIN)/python $(PYTEST) -m abuse --timeout 3600

# BENCH="--scenario fan-out --peer NATS --peer hubbub": see BENCH=--help
bench: $(VENV)/.installed-dev
	$(BIN)/python -m bench $(BENCH)

# The session at the top of the README, recorded again
recording: $(VENV)/.installed-dev
	PYTHONPATH=tests $(BIN)/python -m recording

# MUTATION="src/hubbub/wire/link.py": all mutants of one file; MUTATION=: all there are, which takes over an hour
MUTATION ?= --sample 100
mutation: $(VENV)/.installed-dev
	$(BIN)/python -m mutation $(MUTATION)

# The manual pages, from the text of `hubbub --help`: run it when that has changed.
man: $(VENV)/.installed-dev
	$(BIN)/python -m man

# An sdist and a wheel that is built from it, in dist.
dist: $(VENV)/.installed-dev
	$(BIN)/python -m build

clean:
	rm -rf $(VENV)

# Any Python understands it.
CHOOSE := choose another one, as in: make PYTHON=python3.13
CHECK := import sys; sys.version_info >= (3, 11) or sys.exit("hubbub needs Python 3.11 or newer, \
	and $(PYTHON) is %d.%d; $(CHOOSE)" % sys.version_info[:2])

# A file stands for what was installed, so that the next call has nothing to do. pip shows how far it is.
$(VENV)/.installed: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "hubbub needs Python, and there is no $(PYTHON); $(CHOOSE)" >&2; exit 1; }
	@$(PYTHON) -c '$(CHECK)'
	@# What an older Python has made, or one that is gone, cannot be repaired.
	@[ ! -e $(VENV)/pyvenv.cfg ] || $(BIN)/python -c '$(CHECK)' 2>/dev/null || rm -rf $(VENV)
	@echo "Setting up $(VENV), once: 1. Python's own part, 2. hubbub and what it needs"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[web]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Setting up $(VENV), once: 3. what the tests need, a minute or two"
	$(BIN)/python -m pip install --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install --disable-pip-version-check --group dev
	@touch $@
