# The targets need Python 3.11 or newer; they install everything else into .venv. The distribution's comes first: it is
# built with optimizations, which other builds often lack (docs/performance.md). Another one: make PYTHON=/path/to/python3
FITS := import sys, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(or $(shell for one in /usr/bin/python3 python3.11 python3.12 python3.13 python3; do \
    $$one -c '$(FITS)' 2>/dev/null && command -v $$one && break; done),python3)
VENV   := .venv
BIN    := $(VENV)/bin
RUNS   := $(VENV)/.runs
READY  := $(VENV)/.ready

.PHONY: run demo test check docs pictures fuzz clean help
help:            ## lists the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/'

run: $(RUNS)     ## starts a cluster on this machine, with bots that play; Ctrl-C drains it (ARGS="--bots 0 --port 8080")
	@$(BIN)/lastcall up $(ARGS)

demo: $(RUNS)    ## shows a rolling update in half a minute: a cluster, 60 bots, every node replaced, a report
	@$(BIN)/lastcall up --port 0 --admin 127.0.0.1:0 --bots 50 --talkers 10 --grace 9 --roll-after 5 $(ARGS)

test: $(READY)   ## runs every test: pure, virtual time, conformance, end to end (ARGS="-k drain")
	@tests/e2e/install-packages
	@$(BIN)/python -m pytest --numprocesses 3 --max-worker-restart 0 $(ARGS)

check: $(READY)  ## checks format, lint, types, the layers' imports, and the English
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python tests/check_english.py

docs: $(READY)   ## builds the documentation as a site, .site/html, and checks its links (ARGS=serve: at localhost:8000)
	@$(BIN)/python -m pip install --quiet --group docs
	@$(BIN)/python docs/site/build.py $(ARGS)

pictures: $(READY) ## takes the documentation's pictures and its film from the real page, in Chromium (docs/pictures)
	@tests/e2e/install-packages
	@$(BIN)/python -m tests.page.pictures docs/pictures

fuzz: $(READY)   ## feeds what strangers and nodes can send to the code that reads it (SECONDS=60 for each target)
	@$(BIN)/python -m pip install --quiet --group fuzz
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(ARGS)

clean:           ## removes the virtual environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz .site

# Both reinstall when pyproject.toml has changed; otherwise they do nothing. To run, nothing of the dev group is needed.
$(RUNS): pyproject.toml
	@$(PYTHON) -c '$(FITS)' 2>/dev/null || { echo "Lastcall needs Python 3.11 or newer with venv (Debian:" \
	    "apt-get install python3-venv); $(PYTHON) is not. Use: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(READY): $(RUNS)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@
