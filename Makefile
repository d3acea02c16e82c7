# Every target sets itself up in .venv/; only python3 (>= 3.11) and make are needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test test-engines check bench soak fuzz pins audit clean help
.DEFAULT_GOAL := help

help:
	@echo "make run    set up, start the daemon, let the bundled model answer one question"
	@echo "make test   set up and run all tests"
	@echo "make test-engines  compile llama.cpp, install vLLM, test both (40 minutes, 6 GB)"
	@echo "make check  lint, types and layer contracts"
	@echo "make soak   an hour of mixed traffic: nothing may grow (SOAK_MINUTES=5)"
	@echo "make fuzz   everything that reads strangers' bytes (FUZZ_SECONDS=30 each)"
	@echo "make bench  measure, print ratios"
	@echo "make pins   renew requirements/*.txt; make audit asks for known vulnerabilities of them"

$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("stoker needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 " if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || { echo "setting up $(VENV) ..." >&2; $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --editable . >&2
	@touch $@

# pip learned --group in 25.1; the venv's own pip is renewed first.
$(VENV)/.dev: $(VENV)/.run
	@$(BIN)/python -m pip install --quiet 'pip>=25.1' >&2
	@$(BIN)/python -m pip install --quiet --group dev >&2
	@touch $@

run: $(VENV)/.run
	@$(BIN)/stoker run pilot "What is Stoker?"

test: $(VENV)/.dev
	$(BIN)/python -m pytest

# Not part of `test`: it compiles for ten minutes and downloads gigabytes.
test-engines: $(VENV)/.dev
	$(BIN)/python -m pytest -o faulthandler_timeout=3600 tests/real_engines

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m bench

# Each target for FUZZ_SECONDS (30); says how many inputs were tried.
fuzz: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --group fuzz >&2
	$(BIN)/python -m fuzz

# An hour; CI takes five minutes. Memory, descriptors, threads and children must stay flat.
soak: $(VENV)/.dev
	$(BIN)/python -m bench.soak

# Renew requirements/*.txt: exact versions with hashes of all platforms, no index in them.
pins: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet 'uv>=0.9' >&2
	$(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --upgrade --quiet \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements/run.txt
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --generate-hashes --upgrade --quiet \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements/dev.txt

# Needs the network, hence no part of `check`: asks for known vulnerabilities of what is pinned.
audit: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet 'pip-audit>=2.9' >&2
	$(BIN)/pip-audit --requirement requirements/run.txt --require-hashes --disable-pip

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
